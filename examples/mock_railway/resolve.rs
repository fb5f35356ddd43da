//! What each field of the schema says.
//!
//! Takes a node of the graph, a field's name and its arguments; returns the value. Refuses, with
//! "Not Authorized", what the token does not cover, and says what was not found.

use super::state::{
    Authority, Environment, PROJECT, ServiceInstance, State, USER, Volume, WORKSPACE,
};
use serde_json::{Map, Value, json};

pub(super) const NOT_AUTHORIZED: &str = "Not Authorized";
pub(super) const PROJECT_NAME: &str = "pocketos";

/// A place in the graph.
#[derive(Clone, Debug)]
pub enum Node {
    /// Where queries and mutations begin.
    Root,
    /// The user.
    User,
    /// The workspace.
    Workspace,
    /// The project.
    Project,
    /// By id.
    Environment(String),
    /// By id.
    Service(String),
    /// By id.
    ServiceInstance(String),
    /// By the id of its service instance.
    Deployment(String),
    /// By id.
    Volume(String),
    /// By the id of the volume.
    VolumeInstance(String),
    /// The project token that is asking, by its environment.
    ProjectToken(String),
    /// The nodes of one page with their cursors, and whether more follow.
    Connection(Vec<(usize, Self)>, bool),
    /// One node with its cursor.
    Edge(usize, Box<Self>),
    /// What is complete in itself.
    Plain(Value),
}

/// What a field says.
#[derive(Debug)]
pub enum Resolved {
    /// A scalar, or null.
    Leaf(Value),
    /// An object.
    One(Node),
    /// A list of objects.
    Many(Vec<Node>),
}

/// The arguments of one field, variables put in.
#[derive(Debug)]
pub struct Arguments(pub Map<String, Value>);

impl Arguments {
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.0.get(name)?.as_u64()?.try_into().ok()
    }

    pub(super) fn input(&self, name: &str) -> Option<&str> {
        self.0.get("input")?.get(name)?.as_str()
    }
}

/// The state, seen and changed with one authority.
#[derive(Debug)]
pub struct Resolver<'s> {
    /// What is seen and changed.
    pub state: &'s mut State,
    /// With whose token.
    pub authority: Authority,
}

impl Resolver<'_> {
    /// The value of a field of a node.
    pub fn read(
        &self,
        node: &Node,
        field: &str,
        arguments: &Arguments,
    ) -> Result<Resolved, String> {
        let state = &*self.state;
        let page = |nodes: Vec<Node>| Ok(connection(nodes, arguments));
        match (node, field) {
            (Node::Root, _) => self.query(field, arguments),
            (Node::User | Node::Workspace, "projects") => page(self.projects()),
            (Node::User, "workspaces") => Ok(Resolved::Many(vec![Node::Workspace])),
            (Node::Project, "workspace") => one(Node::Workspace),
            (Node::Project, "baseEnvironment") => Ok(match state.environments.first() {
                Some(first) => Resolved::One(Node::Environment(first.id.clone())),
                None => Resolved::Leaf(Value::Null),
            }),
            (Node::Project, "environments") => page(self.environments()),
            (Node::Project, "services") => {
                page(state.services.iter().map(|it| Node::Service(it.id.clone())).collect())
            }
            (Node::Project, "buckets") => page(Vec::new()),
            (Node::Project, "volumes") => {
                page(state.volumes.iter().map(|it| Node::Volume(it.id.clone())).collect())
            }
            (Node::Environment(id), "serviceInstances") => {
                page(self.instances(|it| it.environment == *id))
            }
            (Node::Environment(id), "volumeInstances") => {
                let volumes = state.volumes.iter().filter(|it| it.environment == *id);
                page(volumes.map(|it| Node::VolumeInstance(it.id.clone())).collect())
            }
            (Node::Environment(id), "config") => self.config(id, arguments),
            (Node::Service(_) | Node::Volume(_) | Node::ProjectToken(_), "project") => {
                one(Node::Project)
            }
            (Node::ProjectToken(id), "environment") => one(Node::Environment(id.clone())),
            (Node::Service(id), "serviceInstances") => page(self.instances(|it| it.service == *id)),
            (Node::ServiceInstance(id) | Node::Deployment(id), "service") => {
                one(Node::Service(self.instance(id)?.service.clone()))
            }
            (Node::ServiceInstance(id), "latestDeployment") => one(Node::Deployment(id.clone())),
            (Node::ServiceInstance(id), "activeDeployments") => {
                Ok(Resolved::Many(vec![Node::Deployment(id.clone())]))
            }
            (Node::Deployment(id), "environment") => {
                one(Node::Environment(self.instance(id)?.environment.clone()))
            }
            (Node::Volume(id), "volumeInstances") => page(vec![Node::VolumeInstance(id.clone())]),
            (Node::VolumeInstance(id), "volume") => one(Node::Volume(id.clone())),
            (Node::VolumeInstance(id), "environment") => {
                one(Node::Environment(self.volume(id)?.environment.clone()))
            }
            (Node::VolumeInstance(id), "service") => match self.volume(id)?.service.clone() {
                Some(service) => one(Node::Service(service)),
                None => Ok(Resolved::Leaf(Value::Null)),
            },
            (Node::Connection(nodes, _), "edges") => Ok(Resolved::Many(
                nodes.iter().map(|(at, node)| Node::Edge(*at, Box::new(node.clone()))).collect(),
            )),
            (Node::Connection(nodes, more), _) => {
                let cursor = |it: Option<&(usize, Node)>| it.map(|(at, _)| at.to_string());
                let (start, end) = (cursor(nodes.first()), cursor(nodes.last()));
                let before = nodes.first().is_some_and(|(at, _)| *at > 0);
                one(Node::Plain(json!({
                    "startCursor": start, "endCursor": end,
                    "hasNextPage": more, "hasPreviousPage": before,
                })))
            }
            (Node::Edge(_, node), "node") => one(node.as_ref().clone()),
            (Node::Edge(at, _), _) => Ok(Resolved::Leaf(at.to_string().into())),
            (node, field) => self.scalars(node).map(|mut scalars| {
                match scalars.get_mut(field).map(Value::take).unwrap_or_default() {
                    object @ Value::Object(_) => Resolved::One(Node::Plain(object)),
                    Value::Array(items) => {
                        Resolved::Many(items.into_iter().map(Node::Plain).collect())
                    }
                    value => Resolved::Leaf(value),
                }
            }),
        }
    }

    fn query(&self, field: &str, arguments: &Arguments) -> Result<Resolved, String> {
        match field {
            "me" => self.whole_account().and_then(|()| one(Node::User)),
            "twoFactorInfo" => {
                self.whole_account()?;
                one(Node::Plain(json!({"isVerified": false, "hasRecoveryCodes": false})))
            }
            "apiToken" => {
                self.whole_account()?;
                let workspace = json!({"id": WORKSPACE, "name": PROJECT_NAME});
                one(Node::Plain(json!({"workspaces": [workspace]})))
            }
            "externalWorkspaces" => {
                self.whole_account()?;
                Ok(Resolved::Many(Vec::new()))
            }
            "regions" => Ok(Resolved::Many(vec![Node::Plain(json!({
                "name": "europe-west4", "region": "europe-west4", "country": "NL",
                "location": "Amsterdam, Netherlands",
            }))])),
            "projectToken" => self.project_token(),
            "projects" => {
                self.whole_account()?;
                Ok(connection(self.projects(), arguments))
            }
            "project" => self.project(arguments.text("id")).and_then(|()| one(Node::Project)),
            "environments" => {
                self.project(arguments.text("projectId"))?;
                Ok(connection(self.environments(), arguments))
            }
            "environment" => {
                let environment = self.environment(arguments.text("id"))?;
                one(Node::Environment(environment.id.clone()))
            }
            "variables" | "variablesForServiceDeployment" => {
                let environment = self.environment(arguments.text("environmentId"))?;
                let mut variables = Map::new();
                let service = arguments.0.get("serviceId").and_then(Value::as_str);
                for key in [None, service.map(str::to_owned)] {
                    let entries = environment.variables.get(&key).into_iter().flatten();
                    variables.extend(entries.map(|(name, value)| (name.clone(), json!(value))));
                }
                Ok(Resolved::Leaf(Value::Object(variables)))
            }
            "volumeInstance" => {
                let volume = self.volume_of(arguments.text("id"))?;
                one(Node::VolumeInstance(volume.id.clone()))
            }
            "volumeInstanceBackupList" => {
                let volume = self.volume_of(arguments.text("volumeInstanceId"))?;
                let used = volume.used_mb;
                let backups = volume.backups.iter().map(|backup| {
                    Node::Plain(json!({
                        "id": backup.id, "name": backup.name, "createdAt": backup.created,
                        "creatorId": USER, "externalId": backup.id,
                        "usedMB": used, "referencedMB": used, "volumeInstanceSizeMB": 5000,
                    }))
                });
                Ok(Resolved::Many(backups.collect()))
            }
            _ => Err(format!("{field} has no answer.")),
        }
    }

    fn config(&self, id: &str, arguments: &Arguments) -> Result<Resolved, String> {
        let environment = self.environment(id)?;
        let plain = arguments.0.get("decryptVariables").and_then(Value::as_bool) == Some(true);
        let variables = |service: &Option<String>| -> Map<String, Value> {
            let entries = environment.variables.get(service).into_iter().flatten();
            let shown = |value: &str| if plain { json!({"value": value}) } else { json!({}) };
            entries.map(|(name, value)| (name.clone(), shown(value))).collect()
        };
        let services: Map<String, Value> = (self.state.services.iter())
            .map(|it| (it.id.clone(), json!({"variables": variables(&Some(it.id.clone()))})))
            .collect();
        Ok(Resolved::Leaf(json!({"sharedVariables": variables(&None), "services": services})))
    }

    fn project_token(&self) -> Result<Resolved, String> {
        let Authority::Environment(environment) = self.authority else {
            return Err("Project Token not found".to_owned());
        };
        self.environment(environment).and_then(|it| one(Node::ProjectToken(it.id.clone())))
    }

    pub(super) fn whole_account(&self) -> Result<(), String> {
        match self.authority {
            Authority::Account => Ok(()),
            Authority::Environment(_) => Err(NOT_AUTHORIZED.to_owned()),
        }
    }

    pub(super) fn project(&self, id: &str) -> Result<(), String> {
        if id == PROJECT && self.state.project {
            Ok(())
        } else {
            Err("Project not found".to_owned())
        }
    }

    pub(super) fn environment(&self, id: &str) -> Result<&Environment, String> {
        let environment = self.state.environment(id).ok_or("Environment not found")?;
        self.covered(&environment.id).map(|()| environment)
    }

    pub(super) fn volume_in_reach(&self, id: &str) -> Result<&Volume, String> {
        let volume = self.volume(id)?;
        self.covered(&volume.environment).map(|()| volume)
    }

    pub(super) fn volume_of(&self, instance: &str) -> Result<&Volume, String> {
        let volume = self.state.volume_of(instance).ok_or("Volume Instance not found")?;
        self.covered(&volume.environment).map(|()| volume)
    }

    fn covered(&self, environment: &str) -> Result<(), String> {
        if self.authority.covers(environment) { Ok(()) } else { Err(NOT_AUTHORIZED.to_owned()) }
    }

    pub(super) fn volume(&self, id: &str) -> Result<&Volume, String> {
        self.state.volume(id).ok_or_else(|| "Volume not found".to_owned())
    }

    pub(super) fn instance(&self, id: &str) -> Result<&ServiceInstance, String> {
        let instance = self.state.instances.iter().find(|it| it.id == id);
        instance.ok_or_else(|| "Service Instance not found".to_owned())
    }

    fn projects(&self) -> Vec<Node> {
        if self.state.project { vec![Node::Project] } else { Vec::new() }
    }

    fn environments(&self) -> Vec<Node> {
        self.state.environments.iter().map(|it| Node::Environment(it.id.clone())).collect()
    }

    fn instances(&self, wanted: impl Fn(&ServiceInstance) -> bool) -> Vec<Node> {
        let instances = self.state.instances.iter().filter(|it| wanted(it));
        instances.map(|it| Node::ServiceInstance(it.id.clone())).collect()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where a field's result is returned")]
pub(super) fn one(node: Node) -> Result<Resolved, String> {
    Ok(Resolved::One(node))
}

fn connection(nodes: Vec<Node>, arguments: &Arguments) -> Resolved {
    let after = arguments.text("after").parse::<usize>().ok();
    let start = after.map_or(0, |after| after.saturating_add(1));
    let wanted = arguments.number("first").unwrap_or(usize::MAX);
    let more = nodes.len().saturating_sub(start) > wanted;
    let page = nodes.into_iter().enumerate().skip(start).take(wanted).collect();
    Resolved::One(Node::Connection(page, more))
}
