//! `ostler save`: what runs now, as a process file.

use std::process::ExitCode;

use ostler_bus::vocab::saved::{MasterSave, SaveAnswer};

use super::{
    args::SaveArgs,
    background,
    bus_errors::of_master,
    carry_out::refused,
    connect::{self, Place, Wanted},
    error::{CliError, Exit},
};
use crate::escape;

/// `ostler save`
pub(super) fn save(args: &SaveArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    connect::talk(wanted, async |session| {
        let request = MasterSave {
            file: file(args, &session.place)?,
        };
        match session.bus.request(&request).await.map_err(of_master)? {
            SaveAnswer::Saved {
                file,
                previous,
                apps,
                notes,
            } => {
                for note in &notes {
                    eprintln!("note: {}", escape::line(note));
                }
                let s = if apps == 1 { "" } else { "s" };
                eprintln!("saved {apps} app{s} in {}", escape::line(&file));
                if let Some(previous) = previous {
                    eprintln!("what was there before is in {}", escape::line(&previous));
                }
                Ok(ExitCode::SUCCESS)
            }
            SaveAnswer::Refused { kind, reason } => Err(refused(kind, &reason)),
        }
    })
}

/// The file that was named, as the master finds it.
fn file(args: &SaveArgs, place: &Place) -> Result<Option<String>, CliError> {
    let Some(file) = &args.file else {
        return Ok(None);
    };
    let shown = file.display();
    if file.extension().is_none_or(|extension| extension != "toml") {
        let problem = format!("{shown} does not end in .toml, and TOML is what is written");
        return Err(CliError::new(Exit::Usage, problem)
            .hint(format!("name it {}", file.with_extension("toml").display())));
    }
    let whole = match place {
        Place::Here { .. } => background::absolute(file)?,
        Place::There if file.is_absolute() => file.clone(),
        Place::There => {
            let problem = format!(
                "the file is written on the master's machine, and {shown} says only half of where"
            );
            return Err(CliError::new(Exit::Usage, problem).hint("write its whole path"));
        }
    };
    Ok(Some(whole.display().to_string()))
}
