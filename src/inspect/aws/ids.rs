//! Ids in the spellings in which they may be declared.
//!
//! Takes arguments; returns them with each string that is a resource name (ARN) replaced by two: the
//! bare id and the whole name. So a thing that is declared by either meets a call that names it by its
//! resource name; and because such a name says the account and a bare id does not, a call that does
//! more than read needs both declared. The same for names with a version or alias behind them.
//! Ids that stand elsewhere than in an argument of their own (in a statement, a filter, a batch) are
//! put beside the arguments.

use super::statement;
use serde_json::{Map, Value, json};

/// Puts the ids of a service's arguments in the spellings in which they may be declared.
pub(super) fn settle(service: &str, arguments: &mut Map<String, Value>) {
    // Whether a list or an object makes it a dry run, nobody can say.
    if let Some(value) = arguments.get_mut("DryRun")
        && (value.is_array() || value.is_object())
    {
        *value = Value::Null;
    }
    match service {
        "dynamodb" => tables(arguments),
        "ec2" => filtered(arguments),
        "cloudcontrol" => typed(arguments, "TypeName", "Identifier"),
        "config" => typed(arguments, "resourceType", "resourceId"),
        "lambda" => {
            if let Some(value) = arguments.get_mut("FunctionName") {
                split(value, function);
            }
        }
        "ssm" => {
            targeted(arguments);
            for name in ["Name", "Names"] {
                if let Some(value) = arguments.get_mut(name) {
                    split(value, |name| name.split(':').next());
                }
            }
        }
        _ => {}
    }
    arguments.values_mut().for_each(expand);
}

/// The name of a function in the forms `ACCOUNT:function:NAME:VERSION`, `ACCOUNT:NAME`, `NAME:VERSION`.
fn function(text: &str) -> Option<&str> {
    let rest = text.rsplit("function:").next()?;
    let account = |part: &str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit());
    match rest.split_once(':') {
        Some((first, rest)) if account(first) => rest.split(':').next(),
        _ => rest.split(':').next(),
    }
}

/// A name with something behind it is the bare name as well.
fn split(value: &mut Value, bare: fn(&str) -> Option<&str>) {
    match value {
        Value::String(text) if !text.starts_with("arn:") => {
            if let Some(bare) = bare(text).filter(|bare| !bare.is_empty() && *bare != text.as_str())
            {
                let pair = vec![Value::from(bare), Value::from(text.as_str())];
                *value = Value::Array(pair);
            }
        }
        Value::Array(members) => flat(members, |member| split(member, bare)),
        _ => {}
    }
}

/// Changes the members of a list; one that becomes two stands in the list as two.
fn flat(members: &mut Vec<Value>, change: impl Fn(&mut Value)) {
    let changed = std::mem::take(members).into_iter().map(|mut member| {
        let was_list = member.is_array();
        change(&mut member);
        (member, was_list)
    });
    for (member, was_list) in changed {
        match member {
            Value::Array(both) if !was_list => members.extend(both),
            member => members.push(member),
        }
    }
}

/// Instances that are named by tags or groups are none that anybody declared.
fn targeted(arguments: &mut Map<String, Value>) {
    let Some(targets) = arguments.get("Targets").filter(|targets| !targets.is_null()) else {
        return;
    };
    let mut found = vec![Value::Bool(true)];
    if let Value::Array(targets) = targets {
        found =
            targets.iter().filter_map(Value::as_object).flat_map(Map::values).cloned().collect();
    }
    let mut ids: Vec<Value> = arguments.get("InstanceIds").cloned().into_iter().collect();
    ids.append(&mut found);
    let flat = ids.into_iter().flat_map(|value| match value {
        Value::Array(members) => members,
        other => vec![other],
    });
    let flat = flat.collect();
    arguments.insert("InstanceIds".to_owned(), Value::Array(flat));
}

/// What filters of EC2 name by its id. They say what is asked for, not that nothing else is.
fn filtered(arguments: &mut Map<String, Value>) {
    let mut found = Map::new();
    if let Some(Value::Array(filters)) = arguments.get("Filter") {
        for filter in filters {
            let name = filter.get("Name").and_then(Value::as_str).unwrap_or_default();
            if let (Some(kind), Some(value)) = (name.strip_suffix("-id"), filter.get("Value")) {
                let values = found.entry(kind).or_insert_with(|| json!([]));
                if let Value::Array(values) = values {
                    match value {
                        Value::Array(members) => values.extend(members.iter().cloned()),
                        value => values.push(value.clone()),
                    }
                }
            }
        }
    }
    if !found.is_empty() {
        arguments.insert("Filtered".to_owned(), Value::Object(found));
    }
}

/// A thing that is named by its type and its id, in the kind of that type.
fn typed(arguments: &mut Map<String, Value>, of: &str, id: &str) {
    const KINDS: &[(&str, &str)] = &[
        ("AWS::CloudFormation::Stack", "stack"),
        ("AWS::DynamoDB::GlobalTable", "table"),
        ("AWS::DynamoDB::Table", "table"),
        ("AWS::EC2::Instance", "instance"),
        ("AWS::EC2::NetworkInterface", "network_interface"),
        ("AWS::EC2::SecurityGroup", "security_group"),
        ("AWS::EC2::Snapshot", "snapshot"),
        ("AWS::EC2::Subnet", "subnet"),
        ("AWS::EC2::VPC", "vpc"),
        ("AWS::EC2::Volume", "volume"),
        ("AWS::IAM::Group", "group"),
        ("AWS::IAM::ManagedPolicy", "policy"),
        ("AWS::IAM::Role", "role"),
        ("AWS::IAM::User", "user"),
        ("AWS::KMS::Key", "key"),
        ("AWS::Lambda::Function", "function"),
        ("AWS::RDS::DBCluster", "db_cluster"),
        ("AWS::RDS::DBInstance", "db_instance"),
        ("AWS::S3::Bucket", "bucket"),
        ("AWS::SSM::Parameter", "parameter"),
        ("AWS::SecretsManager::Secret", "secret"),
    ];
    let name = arguments.get(of).and_then(Value::as_str);
    let kind = KINDS.iter().find(|(ty, _)| name == Some(*ty));
    if let (Some((_, kind)), Some(id)) = (kind, arguments.get(id)) {
        let id = id.clone();
        arguments.insert("Resource".to_owned(), json!({ *kind: id }));
    }
}

/// The tables of a batch are keys of an object, those of a transaction stand in its members, those of
/// `PartiQL` in its text. All are put beside the arguments, where one table stands; and so is whether a
/// batch does more than put.
fn tables(arguments: &mut Map<String, Value>) {
    let mut found: Vec<Value> = arguments.get("TableName").cloned().into_iter().collect();
    let mut more = false;
    if let Some(Value::Object(requests)) = arguments.get("RequestItems") {
        found.extend(requests.keys().map(|name| Value::String(name.clone())));
        more = requests.values().any(|requests| match requests {
            Value::Array(requests) => requests.iter().any(|request| {
                !request.as_object().is_some_and(|map| map.keys().all(|key| key == "PutRequest"))
            }),
            _ => true,
        });
    }
    if more {
        arguments.insert("MoreThanPuts".to_owned(), Value::Bool(true));
    }
    // A text that does not say its table for certain names one that nobody declared.
    let table = |text: &Value| match text.as_str().and_then(statement::table) {
        Some(table) => Value::String(table),
        None => Value::Bool(true),
    };
    found.extend(arguments.get("Statement").map(table));
    for name in ["Statements", "TransactStatements"] {
        match arguments.get(name) {
            Some(Value::Array(members)) => found.extend(
                members.iter().map(|member| table(member.get("Statement").unwrap_or(member))),
            ),
            Some(_) => found.push(Value::Bool(true)),
            None => {}
        }
    }
    if let Some(Value::Array(items)) = arguments.get("TransactItems") {
        let actions = items.iter().filter_map(Value::as_object).flat_map(Map::values);
        let named = |action: &Value| action.get("TableName").cloned().unwrap_or(Value::Bool(true));
        found.extend(actions.map(named));
    }
    if !found.is_empty() {
        arguments.insert("TableName".to_owned(), Value::Array(found));
    }
}

/// Replaces the resource names in a value. The value was parsed from a document of bounded depth.
fn expand(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(bare) = bare(text) {
                let whole = std::mem::take(text);
                *value = Value::Array(vec![Value::String(bare), Value::String(whole)]);
            }
        }
        Value::Array(members) => flat(members, expand),
        Value::Object(map) => map.values_mut().for_each(expand),
        _ => {}
    }
}

/// The bare id in a resource name: `web` of `arn:aws:lambda:eu-west-1:123456789012:function:web:3`.
fn bare(text: &str) -> Option<String> {
    let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
    let _partition = parts.next()?;
    let service = parts.next()?;
    let _region = parts.next()?;
    let _account = parts.next()?;
    let resource = parts.next().filter(|resource| !resource.is_empty())?;
    let (kind, rest) = resource
        .find(['/', ':'])
        .and_then(|at| Some((resource.get(..at)?, resource.get(at + 1..)?)))
        .unwrap_or(("", resource));
    let first = |separators: &[char]| rest.split(separators).next().unwrap_or(rest).to_owned();
    let bare = match (service, kind) {
        ("s3", _) => resource.split('/').next().unwrap_or(resource).to_owned(),
        // Paths stand before the name.
        ("iam", _) => rest.rsplit('/').next().unwrap_or(rest).to_owned(),
        ("sts", "assumed-role") | ("cloudformation" | "dynamodb" | "kinesis", _) => first(&['/']),
        ("lambda", "function" | "layer") | ("logs", "log-group") => first(&[':']),
        ("secretsmanager", _) => without_suffix(rest).to_owned(),
        // An alias is named with its kind.
        ("kms", "alias") => resource.to_owned(),
        // A name of one level has no slash, one of several begins with it.
        ("ssm", "parameter") if rest.contains('/') => format!("/{rest}"),
        _ => rest.to_owned(),
    };
    (!bare.is_empty()).then_some(bare)
}

/// The name of a secret without the six characters that the service adds.
fn without_suffix(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((rest, suffix))
            if suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            rest
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_bare_id() {
        let cases = [
            ("arn:aws:s3:::acme-data", "acme-data"),
            ("arn:aws:s3:::acme-data/a/b", "acme-data"),
            ("arn:aws:iam::123456789012:role/service/deploy", "deploy"),
            ("arn:aws:iam::aws:policy/ReadOnlyAccess", "ReadOnlyAccess"),
            ("arn:aws:lambda:us-east-1:123456789012:function:web:prod", "web"),
            ("arn:aws-cn:secretsmanager:cn-north-1:1:secret:prod/db-AbCdEf", "prod/db"),
            ("arn:aws:secretsmanager:us-east-1:1:secret:prod/db", "prod/db"),
            ("arn:aws:kms:us-east-1:1:key/1234-5678", "1234-5678"),
            ("arn:aws:kms:us-east-1:1:alias/app", "alias/app"),
            ("arn:aws:dynamodb:us-east-1:1:table/orders/index/by-day", "orders"),
            ("arn:aws:rds:us-east-1:1:db:Prod", "Prod"),
            ("arn:aws:ssm:us-east-1:1:parameter/app/key", "/app/key"),
            ("arn:aws:ssm:us-east-1:1:parameter/key", "key"),
            ("arn:aws:cloudformation:us-east-1:1:stack/web/51af3dc0", "web"),
            ("arn:aws:ec2:us-east-1:1:instance/i-1", "i-1"),
            ("arn:aws:sns:us-east-1:1:alerts", "alerts"),
            ("arn:aws:logs:us-east-1:1:log-group:/app/web:*", "/app/web"),
        ];
        for (name, expected) in cases {
            assert_eq!(bare(name).as_deref(), Some(expected), "{name}");
        }
        for text in ["", "arn:", "arn:aws:s3", "arn:aws:s3:::", "web", "arn:aws:ec2:r:1:instance/"]
        {
            assert_eq!(bare(text), None, "{text}");
        }
    }

    #[test]
    fn both_stand_in_the_arguments() {
        let mut value = json!({"A": ["arn:aws:s3:::b", "c"], "D": {"E": "arn:aws:sns:r:1:t"}, "P": "x arn:aws:s3:::b"});
        expand(&mut value);
        let expected = json!({
            "A": ["b", "arn:aws:s3:::b", "c"],
            "D": {"E": ["t", "arn:aws:sns:r:1:t"]},
            "P": "x arn:aws:s3:::b",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn each_service_has_its_spellings() {
        let cases = [
            (
                "ec2",
                json!({"XIdentifier": "PROD", "Filter": [{"Name": "instance-id", "Value": ["i-1"]}]}),
                json!({
                    "XIdentifier": "PROD",
                    "Filter": [{"Name": "instance-id", "Value": ["i-1"]}],
                    "Filtered": {"instance": ["i-1"]},
                }),
            ),
            ("kms", json!({"DryRun": [true]}), json!({"DryRun": null})),
            ("kms", json!({"DryRun": true}), json!({"DryRun": true})),
            (
                "cloudcontrol",
                json!({"TypeName": "AWS::RDS::DBCluster", "Identifier": "Prod"}),
                json!({
                    "TypeName": "AWS::RDS::DBCluster",
                    "Identifier": "Prod",
                    "Resource": {"db_cluster": "Prod"},
                }),
            ),
            ("lambda", json!({"FunctionName": "web"}), json!({"FunctionName": "web"})),
            (
                "lambda",
                json!({"FunctionName": "123456789012:web"}),
                json!({"FunctionName": ["web", "123456789012:web"]}),
            ),
            ("lambda", json!({"FunctionName": "web:1"}), json!({"FunctionName": ["web", "web:1"]})),
            (
                "lambda",
                json!({"FunctionName": "1:function:web:2"}),
                json!({"FunctionName": ["web", "1:function:web:2"]}),
            ),
            ("ssm", json!({"Names": ["/a:3", "b"]}), json!({"Names": ["/a", "/a:3", "b"]})),
            (
                "ssm",
                json!({"InstanceIds": ["i-1"], "Targets": [{"Key": "tag:a", "Values": ["b"]}]}),
                json!({
                    "InstanceIds": ["i-1", "tag:a", "b"],
                    "Targets": [{"Key": "tag:a", "Values": ["b"]}],
                }),
            ),
            (
                "dynamodb",
                json!({"RequestItems": {"a": [], "arn:aws:dynamodb:r:1:table/b": []}}),
                json!({
                    "RequestItems": {"a": [], "arn:aws:dynamodb:r:1:table/b": []},
                    "TableName": ["a", "b", "arn:aws:dynamodb:r:1:table/b"],
                }),
            ),
            (
                "dynamodb",
                json!({"Statements": [{"Statement": "SELECT * FROM a"}, {}]}),
                json!({
                    "Statements": [{"Statement": "SELECT * FROM a"}, {}],
                    "TableName": ["a", true],
                }),
            ),
            (
                "dynamodb",
                json!({"RequestItems": {"a": [{"DeleteRequest": false}]}}),
                json!({
                    "RequestItems": {"a": [{"DeleteRequest": false}]},
                    "MoreThanPuts": true,
                    "TableName": ["a"],
                }),
            ),
            (
                "dynamodb",
                json!({"TableName": "junk", "TransactItems": [{"Put": {"TableName": "a"}}, {"Delete": {}}]}),
                json!({
                    "TableName": ["junk", "a", true],
                    "TransactItems": [{"Put": {"TableName": "a"}}, {"Delete": {}}],
                }),
            ),
        ];
        for (service, given, expected) in cases {
            let Value::Object(mut arguments) = given else { unreachable!() };
            settle(service, &mut arguments);
            assert_eq!(Value::Object(arguments), expected, "{service}");
        }
    }
}
