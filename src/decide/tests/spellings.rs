//! Another name of the same thing is no way past what is declared: its other spellings, its node id,
//! what it lies in, and the ways to a ref.

use super::*;

const POLICY: &str = "
version: 1
agents:
  staging-fixer:
    resources: [n, n-live, g, g-live, r, r-live, p, p-live, c, c-live, d, d-live]
credentials: {}
resources:
  n:
    service: npm
    environment: staging
    credentials: any
    ids: { package: [stag] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  n-live:
    service: npm
    environment: production
    credentials: any
    ids: { package: [prod, '@acme/prod'], organization: [acme-o] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  g:
    service: github
    environment: staging
    credentials: any
    ids: { repository: [acme/web, R_s], organization: [acme], node: [I_s] }
    allow: [read, write, credential]
    hold: [destructive, access, execute, unknown]
  g-live:
    service: github
    environment: production
    credentials: any
    ids: { repository: [acme/prod, R_prod, '222'], organization: [acme-prod], node: [CR_p, I_p] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  r:
    service: oci
    hosts: [reg.example.com]
    environment: staging
    credentials: any
    ids: { repository: [stag/app] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  r-live:
    service: oci
    hosts: [reg.example.com]
    environment: production
    credentials: any
    ids: { repository: [prod/a/b/c/d] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  p:
    service: pypi
    environment: staging
    credentials: any
    ids: { project: [stag] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  p-live:
    service: pypi
    environment: production
    credentials: any
    ids: { project: [My-Proj] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  c:
    service: crates-io
    environment: staging
    credentials: any
    ids: { crate: [stag] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  c-live:
    service: crates-io
    environment: production
    credentials: any
    ids: { crate: [my-crate] }
    deny: [read, write, destructive, credential, access, execute, unknown]
  d:
    service: docker-hub
    environment: staging
    credentials: any
    ids: { repository: [stag/app] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  d-live:
    service: docker-hub
    environment: production
    credentials: any
    ids: { organization: [prod] }
    deny: [read, write, destructive, credential, access, execute, unknown]
";

const API: &str = "https://api.github.com";
const OUTSIDE: &str = "scope_violation";

fn json(line: &str, body: &str) -> String {
    format!("{line}\nContent-Type: application/json\n\n{body}")
}

fn query(document: &str) -> String {
    let body = serde_json::json!({ "query": document }).to_string();
    json("POST https://api.github.com/graphql", &body)
}

/// A mutation with this input.
fn mutation(field: &str, input: &str) -> String {
    query(&format!("mutation {{ {field}(input: {{{input}}}) {{ clientMutationId }} }}"))
}

fn push(repository: &str, old: char, new: char, name: &str) -> String {
    let line = |id: char| id.to_string().repeat(40);
    let command = format!("{} {} {name}\0 report-status", line(old), line(new));
    format!(
        "POST https://github.com/{repository}.git/git-receive-pack\n\
         Content-Type: application/x-git-receive-pack-request\n\n{:04x}{command}0000PACK",
        command.len() + 4
    )
}

fn denied(requests: Vec<String>) -> Vec<(String, Word, &'static str)> {
    requests.into_iter().map(|request| (request, Word::Deny, OUTSIDE)).collect()
}

#[test]
fn another_spelling_is_the_same_id() {
    let policy = policy(|_| POLICY.to_owned());
    let fetch = "info/refs?service=git-upload-pack";
    let get = |url: &str| format!("GET {url}");
    let mut cases = denied(vec![
        get(&format!("{API}/repos/ACME/Prod/contents/x")),
        get(&format!("{API}/repos/acme/prod.git/contents/x")),
        get(&format!("{API}/repositories/0222")),
        get(&format!("https://github.com/Acme/Prod.git/{fetch}")),
        get(&format!("https://github.com/acme/prod.wiki.git/{fetch}")),
        get("https://github.com/acme/prod.git/info/lfs/locks"),
        get("https://raw.githubusercontent.com/Acme/prod/main/x"),
        get("https://codeload.github.com/Acme/prod/zip/main"),
        query("{ repository(owner: \"ACME\", name: \"PROD\") { name } }"),
        query("{ organization(login: \"ACME-prod\") { name } }"),
        format!("DELETE {API}/repos/Acme/Prod"),
        format!("PUT {API}/repos/Acme/Prod/actions/secrets/X"),
        get("https://pypi.org/simple/my_proj/"),
        get("https://pypi.org/simple/my.proj/"),
        get("https://static.crates.io/crates/My_Crate/1.0.0/download"),
        "DELETE https://crates.io/api/v1/crates/my_crate/1.0.0/yank".to_owned(),
        get("https://reg.example.com/v2/prod/a/b/c/d/manifests/latest"),
        get("https://reg.example.com/v2/Prod/a/b/c/d/blobs/sha256:aa"),
        get("https://registry.npmjs.org/@acme/prod"),
        get("https://registry.npmjs.org/@acme/prod/latest"),
        get("https://registry.npmjs.org/@acme-o/x"),
        get("https://registry.npmjs.org/prod/latest"),
    ]);
    cases.extend([
        (get(&format!("{API}/repos/Acme/Web/contents/x")), Word::Allow, ""),
        (get(&format!("{API}/repos/else/where/contents/x")), Word::Allow, ""),
        (format!("POST {API}/repos/ACME/web/issues"), Word::Allow, ""),
        (get("https://reg.example.com/v2/stag/app/blobs/sha256:aa"), Word::Allow, ""),
        (get("https://pypi.org/simple/myproj/"), Word::Allow, ""),
        (get("https://registry.npmjs.org/lodash/4.17.21"), Word::Allow, ""),
        (get("https://registry.npmjs.org/@types/node"), Word::Allow, ""),
        (
            get("https://reg.example.com/v2/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/tags/list"),
            Word::Deny,
            "unknown_operation",
        ),
    ]);
    expect(&policy, &cases);
}

#[test]
fn a_node_is_whatever_is_declared_by_that_id() {
    let policy = policy(|_| POLICY.to_owned());
    let mut cases = denied(vec![
        query("{ node(id: \"R_prod\") { ... on Repository { name } } }"),
        query("{ nodes(ids: [\"I_s\", \"R_prod\"]) { id } }"),
        mutation("createRepositoryRuleset", "sourceId: \"R_prod\", name: \"x\""),
        mutation("addStar", "starrableId: \"R_prod\""),
        format!("GET {API}/users/acme-prod/repos"),
        // Named in a call on something of staging's.
        mutation("updateCheckRun", "repositoryId: \"R_s\", checkRunId: \"CR_p\""),
        mutation("createIssue", "repositoryId: \"R_s\", title: \"x\", parentIssueId: \"I_p\""),
    ]);
    let text = "{ relay { repository(owner: \"acme\", name: \"prod\") { name } } }";
    let address = "{ resource(url: \"https://github.com/acme/prod\") { __typename } }";
    let unknown = "unknown_operation";
    cases.extend([
        (query("{ node(id: \"I_s\") { id } }"), Word::Allow, ""),
        (mutation("addStar", "starrableId: \"R_s\""), Word::Allow, ""),
        (mutation("addStar", "starrableId: \"R_else\""), Word::Hold, "unknown_target"),
        // The letters of a node id count: it is another repository.
        (mutation("addStar", "starrableId: \"R_S\""), Word::Hold, "unknown_target"),
        (
            mutation("createRef", "repositoryId: \"r_s\", name: \"refs/heads/x\", oid: \"a\""),
            Word::Hold,
            "unknown_target",
        ),
        (
            mutation("updateCheckRun", "repositoryId: \"R_s\", checkRunId: \"CR_1\""),
            Word::Allow,
            "",
        ),
        (query(text), Word::Deny, unknown),
        (query(address), Word::Deny, unknown),
    ]);
    expect(&policy, &cases);
}

#[test]
fn what_holds_an_undeclared_thing_judges_it_too() {
    let policy = policy(|_| POLICY.to_owned());
    let fetch = "info/refs?service=git-upload-pack";
    let mut cases = denied(vec![
        format!("GET {API}/repos/acme-prod/x/contents/y"),
        format!("GET https://github.com/acme-prod/x.git/{fetch}"),
        format!("GET https://github.com/orgs/Acme-Prod/people"),
        query("{ repository(owner: \"acme-prod\", name: \"x\") { name } }"),
        format!("DELETE {API}/repos/acme-prod/x"),
        format!("PUT {API}/user/starred/acme-prod/x"),
        "GET https://registry-1.docker.io/v2/prod/app/manifests/latest".to_owned(),
        "GET https://index.docker.io/v2/prod/app/manifests/latest".to_owned(),
    ]);
    cases.extend([
        // It is not theirs by that: what nobody declares is an unknown target still.
        (format!("GET {API}/repos/acme/other/contents/y"), Word::Allow, ""),
        (format!("POST {API}/repos/acme/other/issues"), Word::Hold, "unknown_target"),
        (format!("DELETE {API}/repos/else/where"), Word::Hold, "unknown_target"),
    ]);
    expect(&policy, &cases);
}

#[test]
fn what_a_call_takes_from_another_or_puts_there_is_judged_there() {
    let policy = policy(|_| POLICY.to_owned());
    let pull = |more: &str| {
        let body = format!("{{\"title\": \"x\", \"head\": \"x\", \"base\": \"main\"{more}}}");
        json(&format!("POST {API}/repos/acme/web/pulls"), &body)
    };
    let fork = |body: &str| json(&format!("POST {API}/repos/acme/web/forks"), body);
    let from = |id: &str| {
        let input = format!("repositoryId: \"R_s\", headRepositoryId: \"{id}\", title: \"x\"");
        mutation("createPullRequest", &input)
    };
    let secrets = "{ repository(owner: \"acme\", name: \"web\") { owner { ... on Organization { repository(name: \"prod\") { tempCloneToken } } } } }";
    let variable = |kind: &str, ids: &str| {
        let body = format!("{{\"name\": \"X\", \"selected_repository_ids\": {ids}}}");
        format!("POST {API}/orgs/acme/actions/variables\nContent-Type: {kind}\n\n{body}")
    };
    let mut cases = denied(vec![
        variable("application/json", "[1, 222]"),
        mutation("createLinkedBranch", "issueId: \"I_s\", repositoryId: \"R_prod\", oid: \"a\""),
        from("R_prod"),
        pull(", \"head_repo\": \"prod\""),
        fork("{\"organization\": \"acme-prod\"}"),
        query(secrets),
    ]);
    cases.extend([
        (mutation("createLinkedBranch", "issueId: \"I_s\", oid: \"a\""), Word::Allow, ""),
        (from("R_s"), Word::Allow, ""),
        (variable("application/json", "[1]"), Word::Allow, ""),
        (variable("application/json", "null"), Word::Allow, ""),
        // Nobody can say whose they are.
        (variable("application/json", "[{\"id\": 222}]"), Word::Hold, "unknown_target"),
        (variable("text/plain", "[222]"), Word::Hold, "unknown_target"),
        (pull(""), Word::Allow, ""),
        (pull(", \"head_repo\": \"web\""), Word::Allow, ""),
        (fork("{\"organization\": \"acme\"}"), Word::Allow, ""),
        (
            query("{ repository(owner: \"acme\", name: \"web\") { tempCloneToken } }"),
            Word::Allow,
            "",
        ),
    ]);
    expect(&policy, &cases);
}

/// The recipe of docs/policy.md.
const REFS: &str = "
version: 1
agents:
  staging-fixer:
    resources: [g]
credentials: {}
resources:
  g:
    service: github
    environment: staging
    credentials: any
    ids: { repository: [acme/web, R_s], node: [REF_s, PR_s] }
    allow: [read, write]
    hold:
      - destructive
      - credential
      - access
      - execute
      - unknown
RECIPE
";

#[test]
fn refs_are_protected_on_every_way_to_them() {
    let docs = include_str!("../../../docs/policy.md");
    let (_, recipe) = docs.split_once("### Protecting refs").unwrap();
    let (_, recipe) = recipe.split_once("```yaml\n").unwrap();
    let (recipe, _) = recipe.split_once("```").unwrap();
    let policy = policy(|_| REFS.replace("RECIPE", recipe));
    let send = |line: &str, body: &str| json(&line.replace('~', API), body);
    let repo = "~/repos/acme/web";
    let (main, mine) = ("refs/heads/main", "refs/heads/agent/x");
    let commit = |branch: &str| {
        let branch = format!("repositoryNameWithOwner: \"acme/web\", branchName: \"{branch}\"");
        mutation("createCommitOnBranch", &format!("branch: {{{branch}}}, expectedHeadOid: \"a\""))
    };
    let update = |name: &str| {
        let update = format!("refUpdates: [{{name: \"{name}\", afterOid: \"a\"}}]");
        mutation("updateRefs", &format!("repositoryId: \"R_s\", {update}"))
    };
    let mut cases = denied(vec![
        push("acme/web", '1', '2', main),
        push("acme/web", '0', '2', "refs/tags/v1"),
        push("acme/web", '1', '0', main),
        send(&format!("PUT {repo}/contents/x"), "{\"branch\": \"main\"}"),
        send(&format!("PUT {repo}/contents/x"), "{}"),
        send(&format!("DELETE {repo}/contents/x"), "{\"branch\": \"main\"}"),
        send(&format!("POST {repo}/git/refs"), "{\"ref\": \"refs/tags/v1\", \"sha\": \"a\"}"),
        send(&format!("PATCH {repo}/git/refs/heads/main"), "{\"sha\": \"a\"}"),
        send(&format!("DELETE {repo}/git/refs/heads/main"), "{}"),
        send(&format!("POST {repo}/branches/main/rename"), "{\"new_name\": \"x\"}"),
        send(&format!("POST {repo}/merges"), "{\"base\": \"main\", \"head\": \"x\"}"),
        send(&format!("POST {repo}/merge-upstream"), "{\"branch\": \"main\"}"),
        send(&format!("PUT {repo}/pulls/7/merge"), "{}"),
        commit("main"),
        update(main),
        mutation("updateRef", "refId: \"REF_s\", oid: \"a\""),
        mutation("deleteRef", "refId: \"REF_s\""),
        mutation("mergePullRequest", "pullRequestId: \"PR_s\""),
        mutation("enablePullRequestAutoMerge", "pullRequestId: \"PR_s\""),
        mutation("mergeBranch", "repositoryId: \"R_s\", base: \"main\", head: \"x\""),
    ]);
    cases.extend([
        (push("acme/web", '0', '2', mine), Word::Allow, ""),
        // It may drop commits, and the pack would have to say.
        (push("acme/web", '1', '2', mine), Word::Hold, "approval_required"),
        (send(&format!("PUT {repo}/contents/x"), "{\"branch\": \"agent/x\"}"), Word::Allow, ""),
        (
            send(&format!("POST {repo}/git/refs"), &format!("{{\"ref\": \"{mine}\"}}")),
            Word::Allow,
            "",
        ),
        (commit("agent/x"), Word::Allow, ""),
        (update(mine), Word::Allow, ""),
        (send(&format!("POST {repo}/pulls"), "{\"head\": \"agent/x\"}"), Word::Allow, ""),
    ]);
    expect(&policy, &cases);
}
