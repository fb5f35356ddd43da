//! What the mock holds: one project with two environments, and who may touch which.
//!
//! Takes changes that were already authorised; a deletion really removes the thing and what hangs
//! on it. Ids are constants, so that policies and tests can name them.

use std::collections::BTreeMap;

/// The one workspace.
pub const WORKSPACE: &str = "99999999-0000-4000-8000-000000000001";
/// The one user, to whom the account and the domains token belong.
pub const USER: &str = "88888888-0000-4000-8000-000000000001";
/// The project `pocketos`.
pub const PROJECT: &str = "aaaaaaaa-0000-4000-8000-000000000001";
/// The environment `staging`.
pub const STAGING_ENVIRONMENT: &str = "bbbbbbbb-0000-4000-8000-000000000001";
/// The environment `production`.
pub const PRODUCTION_ENVIRONMENT: &str = "bbbbbbbb-0000-4000-8000-000000000002";
/// The service `api`, in both environments.
pub const API_SERVICE: &str = "cccccccc-0000-4000-8000-000000000001";
/// The service `database`, in both environments, with a volume in each.
pub const DATABASE_SERVICE: &str = "cccccccc-0000-4000-8000-000000000002";
/// The database's volume in staging.
pub const STAGING_VOLUME: &str = "dddddddd-0000-4000-8000-000000000001";
/// The database's volume in production.
pub const PRODUCTION_VOLUME: &str = "dddddddd-0000-4000-8000-000000000002";
/// The instance of the volume in staging.
pub const STAGING_VOLUME_INSTANCE: &str = "eeeeeeee-0000-4000-8000-000000000001";
/// The instance of the volume in production.
pub const PRODUCTION_VOLUME_INSTANCE: &str = "eeeeeeee-0000-4000-8000-000000000002";
/// The newest deployment of `api` in staging.
pub const STAGING_DEPLOYMENT: &str = "77777777-0000-4000-8000-000000000001";
/// The newest deployment of `api` in production.
pub const PRODUCTION_DEPLOYMENT: &str = "77777777-0000-4000-8000-000000000002";

/// A project token: staging, nothing else.
pub const STAGING_TOKEN: &str = "3f9a1c74-5e2b-4d86-9c07-b1e4a2d8f650";
/// An account token: everything.
pub const ACCOUNT_TOKEN: &str = "7c1e5a02-9b3d-4f60-8a17-2d4c6e8f0b13";
/// Made for custom domains, and yet an account token: everything.
pub const DOMAINS_TOKEN: &str = "00000000-0000-4000-8000-00000000dead";
/// Was a token once; its requests are answered 401.
pub const REVOKED_TOKEN: &str = "5d0b7e91-2a46-4c38-b1f5-93e7c80d4a26";

/// When everything that is there at the start was made.
pub const CREATED: &str = "2026-01-15T09:30:00.000Z";

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// May do everything.
    Account,
    /// May touch one environment, by a project token.
    Environment(&'static str),
}

impl Authority {
    /// Whose token this is; nothing for one that is not known.
    pub fn of(token: &str) -> Option<Self> {
        match token {
            ACCOUNT_TOKEN | DOMAINS_TOKEN => Some(Self::Account),
            STAGING_TOKEN => Some(Self::Environment(STAGING_ENVIRONMENT)),
            _ => None,
        }
    }

    /// Whether it covers an environment.
    pub fn covers(self, environment: &str) -> bool {
        match self {
            Self::Account => true,
            Self::Environment(own) => own == environment,
        }
    }
}

/// Everything the mock holds.
#[derive(Debug)]
pub struct State {
    /// Whether the project is still there.
    pub project: bool,
    /// When the project goes, if its deletion is scheduled.
    pub project_goes: Option<String>,
    /// The environments.
    pub environments: Vec<Environment>,
    /// The services.
    pub services: Vec<Service>,
    /// Each service in each environment.
    pub instances: Vec<ServiceInstance>,
    /// The volumes, each with its one instance.
    pub volumes: Vec<Volume>,
    /// The ids of the volumes that were deleted, one entry a deletion.
    pub deletions: Vec<String>,
}

/// An environment.
#[derive(Debug)]
pub struct Environment {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The variables by service, `None` for the shared ones.
    pub variables: BTreeMap<Option<String>, BTreeMap<String, String>>,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image it runs.
    pub image: String,
}

/// A service in an environment.
#[derive(Debug)]
pub struct ServiceInstance {
    /// Its id.
    pub id: String,
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// Its newest deployment.
    pub deployment: String,
    /// When that was made, or last restarted.
    pub deployed: String,
}

/// A volume and its instance.
#[derive(Debug)]
pub struct Volume {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of its instance.
    pub instance: String,
    /// The environment it is in.
    pub environment: String,
    /// The service it is mounted into.
    pub service: Option<String>,
    /// Where.
    pub mount_path: String,
    /// How much is on it.
    pub used_mb: u32,
    /// When it was made.
    pub created: String,
    /// Its backups, which go when it goes.
    pub backups: Vec<Backup>,
}

/// A backup of a volume.
#[derive(Debug)]
pub struct Backup {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: String,
}

impl State {
    /// The project as it is before anything happened.
    pub fn seeded() -> Self {
        let environment = |id: &str, name: &str| Environment {
            id: id.to_owned(),
            name: name.to_owned(),
            variables: BTreeMap::from([
                (None, entries(&[("LOG_LEVEL", "info")])),
                (
                    Some(API_SERVICE.to_owned()),
                    entries(&[
                        (
                            "DATABASE_URL",
                            &format!("postgres://api:{name}-word@database.{name}/app"),
                        ),
                        ("STRIPE_KEY", &format!("mock-stripe-key-{name}")),
                    ]),
                ),
            ]),
        };
        let service = |id: &str, name: &str, image: &str| Service {
            id: id.to_owned(),
            name: name.to_owned(),
            image: image.to_owned(),
        };
        let instance = |number: u8, service: &str, environment: &str| ServiceInstance {
            id: format!("66666666-0000-4000-8000-00000000000{number}"),
            service: service.to_owned(),
            environment: environment.to_owned(),
            deployment: format!("77777777-0000-4000-8000-00000000000{number}"),
            deployed: CREATED.to_owned(),
        };
        let volume = |id: &str, instance: &str, environment: &str, backups: &[u8]| Volume {
            id: id.to_owned(),
            name: "database-data".to_owned(),
            instance: instance.to_owned(),
            environment: environment.to_owned(),
            service: Some(DATABASE_SERVICE.to_owned()),
            mount_path: "/var/lib/postgresql/data".to_owned(),
            used_mb: 1280,
            created: CREATED.to_owned(),
            backups: backups.iter().copied().map(backup).collect(),
        };
        Self {
            project: true,
            project_goes: None,
            environments: vec![
                environment(STAGING_ENVIRONMENT, "staging"),
                environment(PRODUCTION_ENVIRONMENT, "production"),
            ],
            services: vec![
                service(API_SERVICE, "api", "ghcr.io/pocketos/api:1.4"),
                service(DATABASE_SERVICE, "database", "postgres:17"),
            ],
            instances: vec![
                instance(1, API_SERVICE, STAGING_ENVIRONMENT),
                instance(2, API_SERVICE, PRODUCTION_ENVIRONMENT),
                instance(3, DATABASE_SERVICE, STAGING_ENVIRONMENT),
                instance(4, DATABASE_SERVICE, PRODUCTION_ENVIRONMENT),
            ],
            volumes: vec![
                volume(STAGING_VOLUME, STAGING_VOLUME_INSTANCE, STAGING_ENVIRONMENT, &[1]),
                volume(
                    PRODUCTION_VOLUME,
                    PRODUCTION_VOLUME_INSTANCE,
                    PRODUCTION_ENVIRONMENT,
                    &[2, 3, 4],
                ),
            ],
            deletions: Vec::new(),
        }
    }

    /// An environment that is there.
    pub fn environment(&self, id: &str) -> Option<&Environment> {
        self.environments.iter().find(|environment| environment.id == id)
    }

    /// A service that is there.
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.id == id)
    }

    /// A volume that is there.
    pub fn volume(&self, id: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.id == id)
    }

    /// The volume that an instance belongs to.
    pub fn volume_of(&self, instance: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.instance == instance)
    }

    /// Deletes a volume with its backups; whether there was one.
    pub fn delete_volume(&mut self, id: &str) -> bool {
        let before = self.volumes.len();
        self.volumes.retain(|volume| volume.id != id);
        let deleted = self.volumes.len() < before;
        if deleted {
            self.deletions.push(id.to_owned());
        }
        deleted
    }

    /// Deletes an environment with all that is in it.
    pub fn delete_environment(&mut self, id: &str) {
        self.environments.retain(|environment| environment.id != id);
        self.instances.retain(|instance| instance.environment != id);
        self.volumes.retain(|volume| volume.environment != id);
    }

    /// Deletes the project with all that is in it.
    pub fn delete_project(&mut self) {
        self.project = false;
        self.environments.clear();
        self.services.clear();
        self.instances.clear();
        self.volumes.clear();
    }

    /// Sets a variable; whether there was an environment for it.
    pub fn set_variable(
        &mut self,
        name: &str,
        value: &str,
        service: Option<&str>,
        environment: &str,
    ) -> bool {
        let environments = &mut self.environments;
        let Some(environment) = environments.iter_mut().find(|it| it.id == environment) else {
            return false;
        };
        let variables = environment.variables.entry(service.map(str::to_owned)).or_default();
        variables.insert(name.to_owned(), value.to_owned());
        true
    }
}

fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn backup(number: u8) -> Backup {
    Backup {
        id: format!("ffffffff-0000-4000-8000-00000000000{number}"),
        name: format!("Daily {number}"),
        created: format!("2026-04-2{number}T03:00:00.000Z"),
    }
}
