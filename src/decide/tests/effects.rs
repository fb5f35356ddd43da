//! A call with several effects: each is judged, and none hides another.

use super::*;

const POLICY: &str = "
version: 1
agents:
  staging-fixer:
    resources: [aws, rail, live, heroku, plain]
credentials: {}
resources:
  aws:
    service: aws
    environment: staging
    credentials: any
    ids: { db_instance: [db1] }
    allow: [read, write, destructive]
    deny: [access, credential, execute, unknown]
  rail:
    service: railway
    environment: staging
    credentials: any
    ids: { project: [p1], environment: [env-s] }
    allow: [read, write, access, credential]
    deny: [destructive, execute, unknown]
  live:
    service: railway
    environment: production
    credentials: any
    ids: { project: [p1], environment: [env-p] }
    allow: [read, write, access]
    deny: [destructive, credential, execute, unknown]
  heroku:
    service: heroku
    environment: staging
    credentials: any
    ids: { app: [web] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  plain:
    hosts: [plain.example.com]
    environment: staging
    credentials: any
    rules:
      - allow: POST /deployments
        when: [{ argument: body.targets.env, is: staging }]
";

fn rds(rest: &str) -> String {
    format!(
        "POST https://rds.eu-west-1.amazonaws.com/\n\
         Content-Type: application/x-www-form-urlencoded\n\n\
         Action=ModifyDBInstance&Version=2014-10-31&DBInstanceIdentifier=db1{rest}"
    )
}

fn rail(document: &str) -> String {
    let body = serde_json::json!({ "query": document });
    format!("POST https://backboard.railway.com/graphql/v2\n\n{body}")
}

fn json(line: &str, body: &str) -> String {
    format!("POST {line}\nContent-Type: application/json\n\n{body}")
}

#[test]
fn an_effect_more_lifts_no_denial() {
    let policy = policy(|_| POLICY.to_owned());
    let public = |rest: &str| {
        rail(&format!(
            "mutation {{ projectUpdate(id: \"p1\", input: {{{rest}}}) \
             {{ environments {{ edges {{ node {{ config(decryptVariables: true) }} }} }} }} }}"
        ))
    };
    let outside = "scope_violation";
    let cases = [
        (rds("&DeletionProtection=false"), Word::Allow, ""),
        (rds("&MasterUserPassword=x"), Word::Deny, outside),
        (rds("&MasterUserPassword=x&DeletionProtection=false"), Word::Deny, outside),
        (public("name: \"x\""), Word::Deny, outside),
        (public("isPublic: true"), Word::Deny, outside),
    ];
    expect(&policy, &cases);
}

#[test]
fn secrets_are_those_of_where_a_selection_leads() {
    let policy = policy(|_| POLICY.to_owned());
    let of = |inner: &str| rail(&format!("query {{ environment(id: \"env-s\") {{ {inner} }} }}"));
    let config = "config(decryptVariables: true)";
    let far = "volumeInstances { edges { node { volume { project { environments { edges { node";
    let outside = "scope_violation";
    let cases = [
        (of(config), Word::Allow, ""),
        (of(&format!("sourceEnvironment {{ id {config} }}")), Word::Deny, outside),
        (
            of(&format!("...F }} }} fragment F on Environment {{ sourceEnvironment {{ {config} ")),
            Word::Deny,
            outside,
        ),
        (of(&format!("{far} {{ {config} }} }} }} }} }} }} }} }}")), Word::Deny, outside),
        (of("sourceEnvironment { id name }"), Word::Allow, ""),
    ];
    expect(&policy, &cases);
}

#[test]
fn an_id_that_cannot_be_read_is_no_unknown_one() {
    let policy = policy(|_| POLICY.replace("ids: { db_instance: [db1] }", "ids: { table: [t1] }"));
    let live = POLICY.replace("ids: { db_instance: [db1] }", "ids: { table: [t1] }").replacen(
        "  rail:\n",
        "  aws-live:\n    service: aws\n    environment: production\n    credentials: any\n    \
         ids: { table: [t2] }\n    deny: [read, write, destructive, access, credential, execute, unknown]\n  rail:\n",
        1,
    );
    let live = self::policy(|_| live.replacen("[aws, ", "[aws, aws-live, ", 1));
    let select = |statement: &str| {
        let body = serde_json::json!({ "Statement": statement });
        format!(
            "POST https://dynamodb.eu-west-1.amazonaws.com/\n\
             Content-Type: application/x-amz-json-1.0\n\
             X-Amz-Target: DynamoDB_20120810.ExecuteStatement\n\n{body}"
        )
    };
    let (plain, odd) = ("SELECT * FROM \"t1\"", "SELECT * FROM \"t2\" -- x");
    expect(
        &policy,
        &[(select(plain), Word::Allow, ""), (select(odd), Word::Hold, "unknown_target")],
    );
    expect(
        &live,
        &[(select(plain), Word::Allow, ""), (select(odd), Word::Deny, "scope_violation")],
    );
}

#[test]
fn a_member_of_a_list_does_not_hide_behind_another() {
    let policy = policy(|_| POLICY.to_owned());
    let promote = |targets: &str| {
        let body =
            format!("{{\"source\": {{\"app\": {{\"id\": \"web\"}}}}, \"targets\": {targets}}}");
        json("https://api.heroku.com/pipeline-promotions", &body)
    };
    let deploy = |targets: &str| {
        json("https://plain.example.com/deployments", &format!("{{\"targets\": {targets}}}"))
    };
    let cases = [
        (promote("[{\"app\": {\"id\": \"web\"}}]"), Word::Allow, ""),
        (promote("[{\"app\": {\"id\": \"web\"}}, {\"app\": {}}]"), Word::Hold, "unknown_target"),
        (promote("[{\"app\": {\"id\": \"web\"}}, {}]"), Word::Hold, "unknown_target"),
        (
            promote("[{\"app\": {\"id\": \"web\"}}, {\"app\": {\"id\": null}}]"),
            Word::Hold,
            "unknown_target",
        ),
        (deploy("[{\"env\": \"staging\"}]"), Word::Allow, ""),
        (
            deploy("[{\"env\": \"staging\"}, {\"environment\": \"production\"}]"),
            Word::Deny,
            "scope_violation",
        ),
        (deploy("[]"), Word::Deny, "scope_violation"),
    ];
    expect(&policy, &cases);
}
