//! What each mutation of the schema does.
//!
//! Takes a mutation's name and its arguments; changes the state and returns the value. Refuses what
//! the token does not cover before anything is changed.

use super::resolve::{Arguments, NOT_AUTHORIZED, Node, Resolved, Resolver, one};
use super::state::{Backup, Volume};
use serde_json::{Value, json};
use uuid::Uuid;

impl Resolver<'_> {
    /// Does what a mutation says.
    pub fn mutate(&mut self, field: &str, arguments: &Arguments) -> Result<Resolved, String> {
        let done = || Ok(Resolved::Leaf(Value::Bool(true)));
        let workflow =
            || one(Node::Plain(json!({"workflowId": format!("volume-{}", Uuid::new_v4())})));
        match field {
            "volumeDelete" => {
                let id = self.volume_in_reach(arguments.text("volumeId"))?.id.clone();
                self.state.delete_volume(&id);
                done()
            }
            "volumeUpdate" => {
                let id = self.volume_in_reach(arguments.text("volumeId"))?.id.clone();
                if let Some(name) = arguments.input("name") {
                    let volumes = self.state.volumes.iter_mut();
                    volumes.filter(|it| it.id == id).for_each(|it| name.clone_into(&mut it.name));
                }
                one(Node::Volume(id))
            }
            "volumeCreate" => self.create_volume(arguments),
            "volumeInstanceBackupCreate" => {
                let id = self.volume_of(arguments.text("volumeInstanceId"))?.id.clone();
                let name = arguments.0.get("name").and_then(Value::as_str).unwrap_or("Manual");
                let (name, created) = (name.to_owned(), jiff::Timestamp::now().to_string());
                let backup = Backup { id: Uuid::new_v4().to_string(), name, created };
                let volume = self.state.volumes.iter_mut().find(|it| it.id == id);
                volume.ok_or("Volume not found")?.backups.push(backup);
                workflow()
            }
            "volumeInstanceBackupDelete" => {
                let volume = self.volume_of(arguments.text("volumeInstanceId"))?.id.clone();
                let id = arguments.text("volumeInstanceBackupId");
                let volume = self.state.volumes.iter_mut().find(|it| it.id == volume);
                let backups = &mut volume.ok_or("Volume not found")?.backups;
                let at = backups.iter().position(|it| it.id == id).ok_or("Backup not found")?;
                backups.remove(at);
                workflow()
            }
            "variableUpsert" => {
                let input = |name| arguments.input(name).unwrap_or_default();
                self.environment(input("environmentId"))?;
                self.state.set_variable(
                    input("name"),
                    input("value"),
                    arguments.input("serviceId"),
                    input("environmentId"),
                );
                done()
            }
            "serviceInstanceRedeploy" => {
                let environment = self.environment(arguments.text("environmentId"))?.id.clone();
                let service = arguments.text("serviceId");
                let mut instances = self.state.instances.iter_mut();
                let instance = instances
                    .find(|it| it.environment == environment && it.service == service)
                    .ok_or("Service Instance not found")?;
                instance.deployment = Uuid::new_v4().to_string();
                instance.deployed = jiff::Timestamp::now().to_string();
                done()
            }
            "deploymentRestart" => {
                let id = arguments.text("id");
                let authority = self.authority;
                let mut instances = self.state.instances.iter_mut();
                let instance = instances.find(|it| it.deployment == id);
                let instance = instance.ok_or("Deployment not found")?;
                if !authority.covers(&instance.environment) {
                    return Err(NOT_AUTHORIZED.to_owned());
                }
                instance.deployed = jiff::Timestamp::now().to_string();
                done()
            }
            "environmentDelete" => {
                let id = self.environment(arguments.text("id"))?.id.clone();
                self.state.delete_environment(&id);
                done()
            }
            "projectDelete" => {
                self.whole_account()?;
                self.project(arguments.text("id"))?;
                self.state.delete_project();
                done()
            }
            "projectScheduleDelete" => {
                self.whole_account()?;
                self.project(arguments.text("id"))?;
                let grace = jiff::SignedDuration::from_hours(48);
                let goes = jiff::Timestamp::now().checked_add(grace);
                self.state.project_goes =
                    Some(goes.map_err(|error| error.to_string())?.to_string());
                done()
            }
            _ => Err(format!("{field} has no effect.")),
        }
    }

    fn create_volume(&mut self, arguments: &Arguments) -> Result<Resolved, String> {
        let environment = arguments.input("environmentId");
        let environment = environment.ok_or("The mock needs an environmentId.")?;
        let environment = self.environment(environment)?.id.clone();
        self.project(arguments.input("projectId").unwrap_or_default())?;
        let id = Uuid::new_v4().to_string();
        self.state.volumes.push(Volume {
            id: id.clone(),
            name: format!("volume-{}", id.get(..4).unwrap_or_default()),
            instance: Uuid::new_v4().to_string(),
            environment,
            service: arguments.input("serviceId").map(str::to_owned),
            mount_path: arguments.input("mountPath").unwrap_or_default().to_owned(),
            used_mb: 0,
            created: jiff::Timestamp::now().to_string(),
            backups: Vec::new(),
        });
        one(Node::Volume(id))
    }
}
