//! Commands that destroy.

use super::shell;

#[test]
fn what_destroys_is_known_with_whether_it_comes_back() {
    #[rustfmt::skip]
    let rows = [
        ("rm -rf /", "irreversible"), ("sudo rm -rf /*", "irreversible"), ("rm -rf ~", "irreversible"),
        ("rm -fr .", "irreversible"), ("rm -rf *", "irreversible"), ("rm --recursive --force ..", "irreversible"),
        ("rm -rf \"$DIR\"/*", "irreversible"), ("rm -rf .git", "irreversible"), ("rm -rf /var", "irreversible"),
        ("rm -rf /home/dev", "irreversible"), ("find . -delete", "irreversible"), ("find / -type f -exec rm -rf / {} +", "irreversible"),
        ("git push --force", "recoverable"), ("git push -f origin main", "recoverable"), ("git push origin +main", "recoverable"),
        ("git push origin :old", "recoverable"), ("git -C repo push --force-with-lease", "recoverable"),
        ("git reset --hard HEAD~3", "recoverable"), ("git clean -fdx", "irreversible"), ("git clean -fd", "recoverable"), ("git checkout -- .", "recoverable"), ("git restore .", "recoverable"),
        ("git branch -D main", "recoverable"), ("git stash clear", "recoverable"), ("git reflog expire --expire=now --all", "irreversible"),
        ("terraform destroy -auto-approve", "irreversible"), ("terraform -chdir=infra destroy", "irreversible"),
        ("kubectl delete ns prod", "irreversible"), ("kubectl -n prod delete pvc data", "irreversible"), ("helm uninstall web", "irreversible"),
        ("railway volume delete --volume data", "irreversible"), ("railway down -y", "recoverable"),
        ("aws ec2 terminate-instances --instance-ids i-1", "irreversible"), ("aws rds delete-db-instance --db-instance-identifier x", "irreversible"),
        ("aws s3 rb s3://b --force", "irreversible"), ("aws s3 rm s3://b --recursive", "irreversible"),
        ("gcloud projects delete p", "irreversible"), ("gcloud compute instances delete i", "irreversible"), ("az group delete -n g", "irreversible"),
        ("heroku apps:destroy -a shop --confirm shop", "irreversible"), ("fly volumes destroy vol_1", "irreversible"),
        ("docker volume rm data", "irreversible"), ("docker system prune -af --volumes", "irreversible"), ("docker compose down -v", "irreversible"),
        ("dropdb shop", "irreversible"), ("psql -c 'DROP TABLE users'", "irreversible"), ("psql $URL -c \"TRUNCATE users\"", "irreversible"),
        ("psql -c 'DELETE FROM users'", "irreversible"), ("mysql -e 'drop database shop'", "irreversible"), ("mysql -e 'SELECT 1; DELETE FROM t'", "irreversible"),
        ("psql -c 'DROP /* x */ TABLE users'", "irreversible"), ("sqlite3 a.db 'UPDATE t SET x=1'", "irreversible"),
        ("psql <<'EOF'\nBEGIN;\nDROP SCHEMA public CASCADE;\nEOF", "irreversible"), ("echo 'DROP TABLE users' | psql", "irreversible"),
        ("redis-cli FLUSHALL", "irreversible"), ("mongosh --eval 'db.dropDatabase()'", "irreversible"),
        ("mkfs.ext4 /dev/sdb1", "irreversible"), ("dd if=/dev/zero of=/dev/sda", "irreversible"), ("cat x > /dev/sda", "irreversible"),
        ("curl -X DELETE https://api.example.com/v/1", "irreversible"), ("gh repo delete a/b --yes", "irreversible"),
        ("npx prisma migrate reset --force", "irreversible"), ("bash -c 'git clean -fdx'", "irreversible"),
        ("python -c 'import shutil; shutil.rmtree(\"/\")'", "irreversible"), ("supabase db reset", "irreversible"),
        ("kubectl delete pod web-1", "recoverable"), ("kubectl -n x delete po/web-1", "recoverable"), ("kubectl delete deploy web", "irreversible"),
        ("kubectl delete pod/web pvc/data", "irreversible"), ("kubectl delete -n jobs pvc data", "irreversible"), ("kubectl delete pod,pvc data", "irreversible"),
        ("kubectl delete -n web pod web-1", "recoverable"), ("kubectl delete pod/a job/b", "recoverable"), ("kubectl delete -f x.yml", "irreversible"),
        ("docker system prune -af --volumes=true", "irreversible"), ("truncate -s 0 /srv/catalog/db.sqlite", "irreversible"), ("truncate -s 0 /var/log/app/x", ""),
        ("docker system prune -af", "recoverable"), ("git push origin :main", "recoverable"),
        ("cp /dev/null /dev/sda", "irreversible"), ("> /dev/sda", "irreversible"), ("cat x | tee /dev/nvme0n1", "irreversible"),
        ("rm -rf ~/production", "irreversible"), ("rm -rf \"$HOME\"", "irreversible"), ("rm -rf /home/dev/production", "irreversible"),
        ("find / -delete", "irreversible"), ("shred -u backup.tar", "irreversible"), ("truncate -s 0 production.db", "irreversible"),
        ("truncate --size=0 a b", "irreversible"), ("truncate -s 0 log/app.log", ""), ("truncate -s 1G a", ""),
        ("rm -rf ~/.cache", ""), ("rm -rf ~/app/dist", ""), ("rm -rf /home/dev/app/node_modules", ""),
        ("rm -rf ./build", ""), ("git push", ""), ("git push --dry-run --force", ""), ("git clean -nfd", ""),
        ("kubectl delete --dry-run=client -f x.yml", ""), ("terraform plan -destroy", ""), ("psql -c 'DROP INDEX i'", ""),
        ("psql -c 'DELETE FROM t -- all\nWHERE id = 1'", ""), ("aws s3 ls", ""), ("docker volume ls", ""), ("echo rm -rf /", ""),
        ("git commit -m 'drop table users'", ""), ("grep -rn 'DROP TABLE' migrations", ""), ("aws sqs delete-message --queue-url u", ""),
    ];
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(command, expected)| {
            let found = shell(command).destructive;
            let found = found.as_ref().map_or("", |found| found.reversibility.as_str());
            (found != *expected).then(|| format!("{command}: {found:?}, not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_gravest_is_told() {
    let found = shell("git reset --hard; rm -rf ~; git push -f").destructive.expect("it destroys");
    assert_eq!((found.reversibility.as_str(), found.what.as_str()), ("irreversible", "rm -rf ~"));
}
