//! How the shell reads the process file again.

use std::{path::PathBuf, sync::Arc};

use super::MasterOptions;
use crate::{
    config::{
        app::overlay::Inherited, bus_table::BusSettings, circumstances::Circumstances, file,
        missing,
    },
    shell::{Reread, Said},
};

pub(super) fn reread(file: PathBuf, options: &MasterOptions) -> Reread {
    let (path, signals) = (file.clone(), options.signals);
    let (environment, bus) = (options.environment.clone(), options.bus.clone());
    let read = Arc::new(move |environment, inherited: &Inherited| {
        file::read(&path, &Circumstances::here(environment))
            .map(|file| Said {
                held_back: held_back(&bus, signals, &file),
                missing: missing::of_inheriting(&file.apps, inherited),
                apps: file.apps,
            })
            .map_err(|errors| errors.to_string())
    });
    Reread {
        file,
        environment,
        read,
    }
}

/// What can't be taken up while the master runs.
fn held_back(bus: &BusSettings, signals: bool, file: &file::ProcessFile) -> Vec<String> {
    let mut held_back = bus.held_back(&file.bus);
    if file.signals != signals {
        held_back.push("`signals` takes effect when the master is started again".to_owned());
    }
    held_back
}
