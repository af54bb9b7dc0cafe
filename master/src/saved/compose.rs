//! The text of a saved fleet.

use std::{collections::BTreeSet, path::Path};

use jiff::Zoned;

use crate::{
    config::{
        app::{AppDefinition, AppName},
        bus_table::BusSettings,
        circumstances::Circumstances,
        file, written,
    },
    fleet::Portrait,
    home::MasterName,
};

/// What is written besides the apps.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The master's name.
    pub master: MasterName,
    /// What was said of its bus.
    pub bus: BusSettings,
    /// Whether it heeds signals beyond those that end it.
    pub signals: bool,
}

/// The text, and what will be otherwise when it is started from that, in words. It has been read again: what `path` will
/// say is what runs.
///
/// # Errors
/// What keeps it from being a process file.
pub fn compose(
    kept: &Kept,
    portraits: &[Portrait],
    path: &Path,
) -> Result<(String, Vec<String>), String> {
    let names: BTreeSet<&AppName> = portraits.iter().map(|app| &app.definition.name).collect();
    let mut notes = Vec::new();
    let apps = portraits.iter();
    let apps: Vec<AppDefinition> = apps
        .map(|app| as_it_runs(app, &names, &mut notes))
        .collect();
    let text = text(kept, &apps);
    let file = file::parse_in(path, &text, &Circumstances::default())
        .map_err(|errors| errors.to_string())?;
    if text.len() > file::LARGEST {
        return Err("it would be larger than 1 MiB, and could not be read again".to_owned());
    }
    for (app, again) in apps.iter().zip(&file.apps) {
        let differ = app.differences(again);
        if !differ.is_empty() {
            let keys = differ.join(", ");
            notes.push(format!(
                "{}: {keys} can't be written down as it is",
                app.name
            ));
        }
    }
    Ok((text, notes))
}

fn text(kept: &Kept, apps: &[AppDefinition]) -> String {
    let now = Zoned::now().strftime("%Y-%m-%d %H:%M:%S %:z");
    let mut text = format!(
        "# The fleet of the master {name} as it ran on {now}, written by `ostler save`.\n\
         # `ostler resurrect` brings it back, and so does `ostler run` with this file.\n\
         name = \"{name}\"\n",
        name = kept.master,
    );
    if !kept.signals {
        text.push_str("signals = false\n");
    }
    if apps.is_empty() {
        text.push_str("\n# There was none.\n[app]\n");
    }
    let bus = written::bus(&kept.bus);
    for table in apps
        .iter()
        .map(written::table)
        .chain((!bus.is_empty()).then_some(bus))
    {
        text.push('\n');
        text.push_str(&table);
    }
    text
}

/// An app's definition with what has been done to it since.
fn as_it_runs(
    portrait: &Portrait,
    names: &BTreeSet<&AppName>,
    notes: &mut Vec<String>,
) -> AppDefinition {
    let mut app = AppDefinition::clone(&portrait.definition);
    app.instances = portrait.size;
    app.start.autostart = portrait.wanted;
    let overlay = std::mem::take(&mut app.overlay);
    app.env.extend(overlay.extra);
    if overlay.inherited.is_some() {
        notes.push(format!(
            "{}: the environment that `reload --update-env` brought is not saved: its workers will inherit that of the new master",
            app.name
        ));
    }
    app.start.depends_on.retain(|name| names.contains(name));
    for slot in &portrait.parked {
        let name = &app.name;
        notes.push(format!(
            "{name}:{slot} is stopped by itself, and will start with {name}"
        ));
    }
    app
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use ostler_bus::{Generation, Slot};

    use super::*;
    use crate::{
        config::app::{overlay::Overlay, stop::Stop},
        fleet::testing::definition,
    };

    fn portrait(app: AppDefinition) -> Portrait {
        Portrait {
            generation: Generation(3),
            chosen: None,
            size: 5,
            wanted: true,
            fills: true,
            parked: vec![],
            definition: Arc::new(app),
        }
    }

    fn kept() -> Kept {
        Kept {
            master: MasterName::new("shop").expect("a name"),
            bus: BusSettings::default(),
            signals: false,
        }
    }

    #[test]
    fn what_was_done_since_is_in_the_file() {
        let mut web = definition("web", 2);
        web.cwd = Some("/srv".into());
        web.env = BTreeMap::from([("A".into(), "1".into()), ("B".into(), "${x}$$".into())]);
        web.start.depends_on = vec![AppName::new("gone").expect("a name")];
        web.overlay = Overlay {
            inherited: Some(Arc::default()),
            extra: BTreeMap::from([("A".into(), "2".into())]),
        };
        let mut jobs = definition("jobs", 1);
        jobs.cwd = Some("/srv".into());
        let apps = [
            Portrait {
                wanted: false,
                ..portrait(jobs)
            },
            Portrait {
                parked: vec![Slot(1)],
                ..portrait(web)
            },
        ];
        let path = Path::new("/state/shop.saved.toml");
        let (text, notes) = compose(&kept(), &apps, path).expect("a process file");
        let file = file::parse(path, &text, 1).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        assert_eq!((file.master.as_str(), file.signals), ("shop", false));
        let [jobs, web] = &file.apps[..] else {
            panic!("{text}");
        };
        assert!(!jobs.start.autostart);
        assert_eq!((web.instances, web.start.autostart), (5, true));
        assert_eq!((&*web.env["A"], &*web.env["B"]), ("2", "${x}$$"));
        assert!(web.start.depends_on.is_empty());
        assert_eq!(web.overlay, Overlay::default());
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("--update-env"), "{notes:?}");
        assert!(notes[1].starts_with("web:1 is stopped"), "{notes:?}");
    }

    #[test]
    fn a_fleet_without_apps_is_one() {
        let path = Path::new("/state/shop.saved.toml");
        let (text, notes) = compose(&kept(), &[], path).expect("a process file");
        let file = file::parse(path, &text, 1).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        assert_eq!((file.master.as_str(), file.apps.len()), ("shop", 0));
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn what_can_not_be_said_is_told() {
        let mut web = definition("web", 1);
        web.cwd = Some("/srv".into());
        // No file says it without lines of standard input.
        web.stop = Stop {
            message: Some("bye".into()),
            kill_group: false,
        };
        web.given.stdin = None;
        let told = compose(&kept(), &[portrait(web)], Path::new("/x.toml"));
        let (_, notes) = told.expect("a process file");
        assert_eq!(notes, ["web: fds or stdin can't be written down as it is"]);
    }
}
