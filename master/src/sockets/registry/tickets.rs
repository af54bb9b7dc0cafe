//! The secrets for session tickets of declared sockets: made when a worker first asks for them, kept as long as the socket.

use std::{io, time::Duration};

use ostler_worker_sdk::tickets::{ROTATION, Rotation, SecretSet};
use tokio::sync::watch;

use super::{Declared, Sockets};
use crate::config::app::AppDefinition;

impl Sockets {
    /// The secrets of a socket that this app declares, as they are and will be; `None` if it declares none of this name.
    pub fn ticket_secrets(
        &mut self,
        app: &AppDefinition,
        name: &str,
    ) -> Option<io::Result<watch::Receiver<SecretSet>>> {
        let declaration = app.listen.iter().find(|its| its.name == name)?;
        let declared = self.declared_mut(&app.name, declaration)?;
        Some(declared.ticket_secrets())
    }
}

impl Declared {
    fn ticket_secrets(&mut self) -> io::Result<watch::Receiver<SecretSet>> {
        if let Some(rotation) = &self.tickets {
            return Ok(rotation.follow());
        }
        let every = self.declaration.options.ticket_rotation;
        let rotation = Rotation::begin(every.unwrap_or(ROTATION))?;
        Ok(self.tickets.insert(rotation).follow())
    }

    /// Takes up how often they rotate from now on.
    pub(super) fn rotate_tickets(&mut self, every: Option<Duration>) {
        self.declaration.options.ticket_rotation = every;
        if let Some(rotation) = &mut self.tickets {
            rotation.rotate_each(every.unwrap_or(ROTATION));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{app::AppName, flags::listen, settings::Settings};

    fn app(name: &str, socket: &str) -> crate::config::app::AppDefinition {
        let name = AppName::new(name).expect("a name");
        let mut app = Settings::default().define(name, vec!["x".into()], 1);
        app.listen = listen(&[socket], Path::new("/")).expect("an address");
        app
    }

    #[tokio::test]
    async fn each_app_s_socket_has_secrets_of_its_own_as_long_as_it_is_there() {
        let mut sockets = Sockets::default();
        let apps = [
            app("one", "https=127.0.0.1:0"),
            app("two", "https=127.0.0.1:0"),
        ];
        for app in &apps {
            let _bound = sockets.bind(app).expect("bound");
        }
        let mut of = |app: &AppDefinition, name: &str| {
            let secrets = sockets.ticket_secrets(app, name)?.expect("random numbers");
            Some(secrets.borrow().clone())
        };
        let one = of(&apps[0], "https").expect("declared");
        assert_eq!(of(&apps[0], "https").as_ref(), Some(&one), "every worker's");
        assert_ne!(of(&apps[1], "https").expect("declared"), one);
        assert_eq!(of(&apps[0], "http"), None);
        assert_eq!(one.rotation(), ROTATION);

        let follows = sockets.ticket_secrets(&apps[0], "https");
        let mut follows = follows.expect("declared").expect("random numbers");
        let mut often = apps[0].clone();
        often.listen[0].options.ticket_rotation = Some(Duration::from_secs(60));
        assert!(sockets.bind(&often).expect("it is bound so").is_empty());
        sockets.share(&often);
        let set = follows.borrow().clone();
        assert_eq!(set, one.rotating_each(Duration::from_secs(60)));
        sockets.forget(&often.name);
        follows.mark_unchanged();
        assert!(
            follows.changed().await.is_err(),
            "nobody rotates them any more"
        );
    }
}
