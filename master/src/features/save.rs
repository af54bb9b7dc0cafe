//! Writes the fleet down, and brings back what was: `master.save` and `master.resurrect`.

use std::path::{Path, PathBuf};

use ostler_bus::{
    client::{Bus, SubscribeError},
    vocab::{
        commands::AppAdd,
        control::{Answer, RefusalKind},
        saved::{MasterResurrect, MasterSave, SaveAnswer},
    },
};

use super::Settling;
use crate::{
    fleet::Portrait,
    home::StateDir,
    saved::{self, Kept},
    shell::{ShellHandle, Which},
};

/// Why it was not done.
type Refused = (RefusalKind, String);

/// Runs until the bus goes.
///
/// # Errors
/// If the hub refuses a subscription.
pub async fn run(
    bus: Bus,
    shell: ShellHandle,
    kept: Kept,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut saves = bus.serve::<MasterSave>().await?;
    let mut resurrections = bus.serve::<MasterResurrect>().await?;
    drop(settling);
    loop {
        tokio::select! {
            call = saves.next() => {
                let Some(call) = call else { return Ok(()) };
                let answer = save(&shell, &kept, call.request().file.clone()).await;
                let answer = answer.unwrap_or_else(|(kind, reason)| SaveAnswer::Refused { kind, reason });
                let _gone = call.reply(&answer).await;
            }
            call = resurrections.next() => {
                let Some(call) = call else { return Ok(()) };
                let answer = resurrect(&shell, &kept).await;
                let answer = answer.unwrap_or_else(|(kind, reason)| Answer::Refused { kind, reason });
                let _gone = call.reply(&answer).await;
            }
        }
    }
}

async fn save(
    shell: &ShellHandle,
    kept: &Kept,
    file: Option<String>,
) -> Result<SaveAnswer, Refused> {
    if file.is_some() && kept.bus.tcp.is_some() {
        let reason = "this master is open to a network (bus.listen), where a token must not be enough to write any file: leave FILE out, and copy the file that is written";
        return Err((RefusalKind::WrongState, reason.into()));
    }
    let drawn = shell.portraits(None).await?;
    // The shell answers in order: had it begun to end before it drew them, it says so by now. What ends is no fleet to keep.
    if *shell.ending().borrow() {
        let reason =
            "the master is stopping: nothing was saved, what was saved before is still there";
        return Err((RefusalKind::Stopping, reason.into()));
    }
    let portraits: Vec<Portrait> = drawn.into_iter().map(|app| app.portrait).collect();
    let kept = kept.clone();
    // It looks users up, and waits for the disk.
    let done = tokio::task::spawn_blocking(move || write_down(&kept, &portraits, file));
    done.await.unwrap_or_else(|fault| {
        Err((
            RefusalKind::WrongState,
            format!("nothing was saved: {fault}"),
        ))
    })
}

fn write_down(
    kept: &Kept,
    portraits: &[Portrait],
    file: Option<String>,
) -> Result<SaveAnswer, Refused> {
    let path = match file {
        Some(file) => named(file)?,
        None => {
            let state = own_place()?;
            state
                .make()
                .map_err(|error| (RefusalKind::WrongState, error.to_string()))?;
            saved::file_of(&state, &kept.master)
        }
    };
    let (text, notes) = saved::compose(kept, portraits, &path).map_err(|why| {
        let reason =
            format!("nothing was saved: as it runs now, it can't be started from a file\n{why}");
        (RefusalKind::WrongState, reason)
    })?;
    let previous = saved::write(&path, &text).map_err(|error| {
        let reason = format!("can't write {}: {error}", path.display());
        (RefusalKind::WrongState, reason)
    })?;
    tracing::info!("saved {} apps in {}", portraits.len(), path.display());
    Ok(SaveAnswer::Saved {
        file: path.display().to_string(),
        previous: previous.map(|path| path.display().to_string()),
        apps: u32::try_from(portraits.len()).unwrap_or(u32::MAX),
        notes,
    })
}

fn named(file: String) -> Result<PathBuf, Refused> {
    let path = PathBuf::from(file);
    let is_toml = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    match path.is_absolute() && is_toml {
        true => Ok(path),
        false => {
            let reason = format!("{} is not the whole path of a .toml file", path.display());
            Err((RefusalKind::Invalid, reason))
        }
    }
}

async fn resurrect(shell: &ShellHandle, kept: &Kept) -> Result<Answer, Refused> {
    let file = saved::file_of(&own_place()?, &kept.master);
    if !Path::new(&file).exists() {
        let reason = format!(
            "nothing is saved in {}: `ostler save` does that",
            file.display()
        );
        return Err((RefusalKind::UnknownName, reason));
    }
    let wanted = AppAdd {
        file: file.display().to_string(),
        text: None,
        environment: None,
        only: None,
    };
    Ok(shell.add(wanted, Which::Missing).await)
}

fn own_place() -> Result<StateDir, Refused> {
    StateDir::of_this_process().map_err(|error| (RefusalKind::WrongState, error.to_string()))
}
