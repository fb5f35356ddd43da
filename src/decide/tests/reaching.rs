//! What a call names beside the thing it is made on: its owners judge as well.

use super::*;

const POLICY: &str = "
version: 1
agents:
  staging-fixer:
    resources: [a, a-live, v, v-live, f, f-live, h, h-live, o, o-live, c, c-live]
credentials: {}
resources:
  a:
    service: aws
    environment: staging
    credentials: any
    ids: { db_instance: [stag-db], table: [stag-t], key: [key-s], instance: [i-s], route_table: [rtb-s] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  a-live:
    service: aws
    environment: production
    credentials: any
    ids: { db_instance: [Prod-DB, db-PROD], db_cluster: [prod-cluster], db_snapshot: [prod-snap], table: [prod-t], network_interface: [eni-p] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  v:
    service: vercel
    environment: staging
    credentials: any
    ids: { project: [web], team: [team_s], deployment: [dpl_s], alias: [s.acme.com], domain: [s.acme.com] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  v-live:
    service: vercel
    environment: production
    credentials: any
    ids: { project: [shop], team: [team_p], deployment: [dpl_p], alias: [www.acme.com], domain: [acme.com] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  f:
    service: fly
    environment: staging
    credentials: any
    ids: { app: [stag], machine: [m_s] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  f-live:
    service: fly
    environment: production
    credentials: any
    ids: { app: [prod, app_p], volume: [vol_p], machine: [m_p] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  h:
    service: heroku
    environment: staging
    credentials: any
    ids: { app: [stag] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  h-live:
    service: heroku
    environment: production
    credentials: any
    ids: { app: [prod], addon: [pg-p], slug: [slug_p] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  o:
    service: oci
    hosts: [reg.example.com]
    environment: staging
    credentials: any
    ids: { repository: [stag/app] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  o-live:
    service: oci
    hosts: [reg.example.com]
    environment: production
    credentials: any
    ids: { repository: [prod/app] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  c:
    service: cloudflare
    environment: staging
    credentials: any
    ids: { kv_namespace: [kv_s] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  c-live:
    service: cloudflare
    environment: production
    credentials: any
    ids: { account: [acc] }
    deny: [read, write, destructive, credential, access, execute, unknown]
";

fn json(line: &str, body: &str) -> String {
    format!("{line}\nContent-Type: application/json\n\n{body}")
}

#[test]
fn what_a_call_reaches_is_judged_by_its_owners() {
    let policy = policy(|_| POLICY.to_owned());
    let vercel = "https://api.vercel.com";
    let fly = "https://api.machines.dev/v1/apps";
    let fork =
        |id: &str| json(&format!("POST {fly}/stag/volumes"), &format!("{{{id}\"size_gb\": 1}}"));
    let alias = |name: &str| {
        let body = format!("{{\"alias\": \"{name}\"}}");
        json(&format!("POST {vercel}/v2/deployments/dpl_s/aliases"), &body)
    };
    let env = |query: &str| {
        json(&format!("POST {vercel}/v10/projects/web/env{query}"), "{\"key\": \"A\"}")
    };
    let query = |document: &str| {
        let body = serde_json::json!({ "query": document }).to_string();
        json("POST https://api.fly.io/graphql", &body)
    };
    let promote = |targets: &str| {
        let body =
            format!("{{\"source\": {{\"app\": {{\"id\": \"stag\"}}}}, \"targets\": {targets}}}");
        json("POST https://api.heroku.com/pipeline-promotions", &body)
    };
    let get = |url: &str| format!("GET {url}");
    let query_of = |service: &str, action: &str, rest: &str| {
        format!(
            "POST https://{service}.eu-west-1.amazonaws.com/\n\
             Content-Type: application/x-www-form-urlencoded\n\nAction={action}&Version=1&{rest}"
        )
    };
    let rds = |action: &str, rest: &str| query_of("rds", action, rest);
    let restore = |source: &str| {
        let body =
            format!("{{\"SourceTableName\": \"{source}\", \"TargetTableName\": \"stag-t\"}}");
        format!(
            "POST https://dynamodb.eu-west-1.amazonaws.com/\n\
             Content-Type: application/x-amz-json-1.0\n\
             X-Amz-Target: DynamoDB_20120810.RestoreTableToPointInTime\n\n{body}"
        )
    };
    let outside = "scope_violation";
    let (replica, to_time) = ("CreateDBInstanceReadReplica", "RestoreDBInstanceToPointInTime");
    let cases = [
        (
            rds(replica, "SourceDBInstanceIdentifier=stag-db&DBInstanceIdentifier=stag-db"),
            Word::Allow,
            "",
        ),
        (
            rds(replica, "SourceDBInstanceIdentifier=PROD-db&DBInstanceIdentifier=stag-db"),
            Word::Deny,
            outside,
        ),
        (
            rds(to_time, "SourceDbiResourceId=db-PROD&TargetDBInstanceIdentifier=stag-db"),
            Word::Deny,
            outside,
        ),
        (
            rds(
                "RestoreDBInstanceFromDBSnapshot",
                "DBSnapshotIdentifier=prod-snap&DBInstanceIdentifier=stag-db",
            ),
            Word::Deny,
            outside,
        ),
        (
            rds(
                "CreateDBInstance",
                "DBInstanceIdentifier=stag-db&DBClusterIdentifier=prod-cluster",
            ),
            Word::Deny,
            outside,
        ),
        (rds("DescribeDBInstances", "DBInstanceIdentifier=prod-db"), Word::Deny, outside),
        (restore("stag-t"), Word::Allow, ""),
        (restore("prod-t"), Word::Deny, outside),
        (
            query_of(
                "ec2",
                "CreateRoute",
                "RouteTableId=rtb-s&DestinationCidrBlock=0.0.0.0/0&NetworkInterfaceId=eni-p",
            ),
            Word::Deny,
            outside,
        ),
        (alias("s.acme.com"), Word::Allow, ""),
        (alias("www.acme.com"), Word::Deny, outside),
        (alias("nobody.acme.com"), Word::Hold, "unknown_target"),
        (env(""), Word::Allow, ""),
        (env("?teamId=team_s&upsert=true"), Word::Allow, ""),
        (env("?teamId=team_p&upsert=true"), Word::Deny, outside),
        (env("?slug=team_p"), Word::Deny, outside),
        (get(&format!("{vercel}/v9/projects?teamId=team_p")), Word::Deny, outside),
        (format!("POST {vercel}/v10/projects/web/promote/dpl_other"), Word::Allow, ""),
        (format!("POST {vercel}/v10/projects/web/promote/dpl_s"), Word::Allow, ""),
        (format!("POST {vercel}/v10/projects/web/promote/dpl_p"), Word::Deny, outside),
        (fork(""), Word::Allow, ""),
        (fork("\"source_volume_id\": \"vol_p\", "), Word::Deny, outside),
        (format!("POST {fly}/stag/machines/m_any/restart"), Word::Allow, ""),
        (format!("POST {fly}/stag/machines/m_s/restart"), Word::Allow, ""),
        (format!("POST {fly}/stag/machines/m_p/restart"), Word::Deny, outside),
        (query("{ app(name: \"stag\") { name } }"), Word::Allow, ""),
        (query("{ app(name: \"stag\", id: \"app_p\") { name } }"), Word::Deny, outside),
        (promote("[{\"app\": {\"id\": \"stag\"}}]"), Word::Allow, ""),
        (
            promote("[{\"app\": {\"id\": \"stag\"}}, {\"app\": {\"name\": \"prod\"}}]"),
            Word::Deny,
            outside,
        ),
        (get("https://api.heroku.com/apps/stag/config-vars.json"), Word::Deny, "unknown_operation"),
        (get("https://api.heroku.com/apps/stag/log-drains"), Word::Hold, "credential_read"),
        ("POST https://reg.example.com/v2/stag/app/blobs/uploads/".to_owned(), Word::Allow, ""),
        (
            "POST https://reg.example.com/v2/stag/app/blobs/uploads/?mount=sha256:aa&from=prod/app"
                .to_owned(),
            Word::Deny,
            outside,
        ),
        // The number decides; the account counts where nobody declares the number.
        (
            get(
                "https://api.cloudflare.com/client/v4/accounts/acc/storage/kv/namespaces/kv_s/keys",
            ),
            Word::Allow,
            "",
        ),
        (
            get(
                "https://api.cloudflare.com/client/v4/accounts/acc/storage/kv/namespaces/kv_9/keys",
            ),
            Word::Deny,
            outside,
        ),
    ];
    expect(&policy, &cases);
}
