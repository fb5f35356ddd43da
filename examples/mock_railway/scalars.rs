//! The fields of a node that are not nodes themselves, as one JSON object.
//!
//! Takes a node; returns its scalars. A field that is missing here is null.

use super::resolve::{Node, PROJECT_NAME, Resolver};
use super::state::{CREATED, PROJECT, USER, WORKSPACE};
use serde_json::{Value, json};

impl Resolver<'_> {
    /// The scalars of a node.
    pub(super) fn scalars(&self, node: &Node) -> Result<Value, String> {
        Ok(match node {
            Node::Plain(value) => value.clone(),
            Node::User => json!({
                "id": USER, "name": "Jo Operator", "username": "jo", "email": "jo@pocketos.example",
                "createdAt": CREATED, "has2FA": true, "isAdmin": false, "isVerified": true,
            }),
            Node::Workspace => json!({
                "id": WORKSPACE, "name": PROJECT_NAME, "createdAt": CREATED, "updatedAt": CREATED,
            }),
            Node::Project => {
                let first = self.state.environments.first().map(|it| it.id.as_str());
                json!({
                    "id": PROJECT, "name": PROJECT_NAME, "createdAt": CREATED, "updatedAt": CREATED,
                    "isPublic": false, "prDeploys": false, "workspaceId": WORKSPACE,
                    "baseEnvironmentId": first, "primaryEnvironmentId": first,
                    "deletedAt": self.state.project_goes,
                })
            }
            Node::Environment(id) => {
                let name = self.state.environment(id).map(|it| it.name.as_str());
                json!({
                    "id": id, "name": name, "projectId": PROJECT, "createdAt": CREATED,
                    "updatedAt": CREATED, "isEphemeral": false, "unmergedChangesCount": 0,
                    "canAccess": self.authority.covers(id),
                })
            }
            Node::Service(id) => {
                let name = self.state.service(id).map(|it| it.name.as_str());
                json!({
                    "id": id, "name": name, "projectId": PROJECT, "createdAt": CREATED,
                    "updatedAt": CREATED,
                })
            }
            Node::ServiceInstance(id) => {
                let instance = self.instance(id)?;
                let service = self.state.service(&instance.service);
                json!({
                    "id": id, "serviceId": instance.service, "environmentId": instance.environment,
                    "serviceName": service.map(|it| it.name.as_str()), "createdAt": CREATED,
                    "updatedAt": instance.deployed, "numReplicas": 1, "region": "europe-west4",
                    "tracingEnabled": false, "autoInstrumentationEnabled": false,
                    "source": {"image": service.map(|it| it.image.as_str())},
                    "domains": {"customDomains": [], "serviceDomains": []},
                })
            }
            Node::Deployment(id) => {
                let instance = self.instance(id)?;
                json!({
                    "id": instance.deployment, "serviceId": instance.service, "status": "SUCCESS",
                    "environmentId": instance.environment, "projectId": PROJECT,
                    "createdAt": instance.deployed, "updatedAt": instance.deployed,
                    "canRedeploy": true, "canRollback": false, "deploymentStopped": false,
                    "instances": [{"id": id, "status": "RUNNING"}],
                })
            }
            Node::Volume(id) => {
                let volume = self.volume(id)?;
                json!({
                    "id": id, "name": volume.name, "projectId": PROJECT, "createdAt": volume.created,
                })
            }
            Node::VolumeInstance(id) => {
                let volume = self.volume(id)?;
                json!({
                    "id": volume.instance, "volumeId": id, "environmentId": volume.environment,
                    "serviceId": volume.service, "mountPath": volume.mount_path, "sizeMB": 5000,
                    "currentSizeMB": volume.used_mb, "region": "europe-west4", "state": "READY",
                    "createdAt": volume.created, "isPendingDeletion": false,
                })
            }
            Node::ProjectToken(environment) => json!({
                "id": "55555555-0000-4000-8000-000000000001", "name": "staging-fixer",
                "displayToken": "****", "createdAt": CREATED, "projectId": PROJECT,
                "environmentId": environment,
            }),
            Node::Root | Node::Connection(..) | Node::Edge(..) => Value::Null,
        })
    }
}
