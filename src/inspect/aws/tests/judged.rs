//! What the rules of the catalog make of operations that are called one thing and do another.

use super::super::table;
use crate::catalog::{Catalog, Effect, Reversibility};
use Effect::{Access, Credential, Destructive, Execute, Read, Write};

/// Operations by what they do.
const JUDGED: &[(Effect, &str)] = &[
    (
        Destructive,
        "transfer:StartRemoteDelete outposts:StartOutpostDecommission mpa:StartActiveApprovalTeamDeletion \
         autoscaling:StartInstanceRefresh autoscaling:SetInstanceHealth fis:StartExperiment \
         config:PutRetentionConfiguration chime-sdk-identity:PutAppInstanceRetentionSettings \
         chime-sdk-identity:PutAppInstanceUserExpirationSettings bedrock:PutAccountDataRetention \
         marketplace-catalog:StartChangeSet securityhub:StartConfigurationPolicyDisassociation \
         network-firewall:StartFlowFlush personalize:CreateDataDeletionJob swf:RequestCancelWorkflowExecution \
         dms:StartReplicationTask events:UpdateArchive fsx:UpdateFileSystem iotsitewise:UpdateAssetModel \
         route53:ChangeCidrCollection s3:PutBucketLifecycle s3tables:PutTableMaintenanceConfiguration \
         ssm-incidents:UpdateReplicationSet cloudsearchdomain:UploadDocuments emr:SetTerminationProtection \
         logs:PutLogGroupDeletionProtection network-firewall:UpdateFirewallDeleteProtection \
         ec2:BatchModifyIpamRoutingPolicyRegistrations elasticache:ModifyReplicationGroupShardConfiguration",
    ),
    (
        Access,
        "sso-admin:PutApplicationGrant sso-admin:PutApplicationAccessScope datazone:AddPolicyGrant \
         servicecatalog:EnableAWSOrganizationsAccess health:EnableHealthServiceAccessForOrganization \
         cognito-idp:UpdateUserPool iot:SetDefaultAuthorizer route53resolver:UpdateFirewallDomains \
         waf:UpdateWebACL wafv2:UpdateIPSet ram:EnableSharingWithAwsOrganization eks:UpdateClusterConfig \
         auditmanager:StartAssessmentFrameworkShare elasticloadbalancing:ModifyTrustStore elasticloadbalancing:SetSecurityGroups \
         rds:ModifyDBClusterSnapshotAttribute backup:PutBackupVaultLockConfiguration ec2:LockSnapshot \
         workmail:PutAccessControlRule workspaces:ModifySamlProperties wellarchitected:CreateWorkloadShare \
         apigateway:UpdateRestApi connect:UpdateUserIdentityInfo quicksight:UpdatePublicSharingSettings",
    ),
    (
        Credential,
        "storagegateway:SetSMBGuestPassword storagegateway:UpdateChapCredentials appsync:UpdateApiKey \
         codebuild:ImportSourceCredentials chime-sdk-voice:PutVoiceConnectorTerminationCredentials \
         cognito-idp:ConfirmForgotPassword apigateway:ImportApiKeys managedblockchain:GetAccessor \
         bedrock-agentcore-control:UpdateOauth2CredentialProvider securityhub:GetFindings \
         lambda:GetMicrovmImageVersion lambda:ListMicrovmImageVersions lambda:GetWebFunctionRevision \
         kinesisvideo:GetIceServerConfig lex-models:GetBotChannelAssociations geo:DescribeKey \
         appconfig:GetConfiguration appconfigdata:GetLatestConfiguration evs:GetEnvironment \
         emr-containers:DescribeJobRun gamelift:DescribeContainerGroupDefinition",
    ),
    (
        Execute,
        "sagemaker:UpdateNotebookInstanceLifecycleConfig sagemaker:CreateStudioLifecycleConfig \
         glue:StartTrigger glue:StartWorkflowRun events:PutTargets events:StartReplay \
         scheduler:CreateSchedule config:PutRemediationConfigurations amplify:StartJob iot:CreateJob \
         greengrass:StartBulkDeployment kinesisanalytics:StartApplication",
    ),
    // What looks like one of them and is none.
    (
        Read,
        "cloudfront:GetKeyGroup elasticloadbalancing:DescribeTrustStores managedblockchain:ListAccessors \
         securityhub:DescribeHub sso-admin:ListApplicationGrants geo:ListKeys ram:ListPermissions",
    ),
    (Write, "ec2:StartInstances cloudtrail:StartLogging events:PutRule sqs:SendMessage"),
];

#[test]
fn operations_are_judged_by_what_they_do() {
    let catalog = Catalog::embedded("aws").unwrap();
    for (effect, names) in JUDGED {
        for name in names.split_whitespace() {
            let (service, _) = name.split_once(':').unwrap();
            assert!(
                table::services().any(|known| known.name == service),
                "{name}: no such service"
            );
            let spec = catalog.operation(name).unwrap_or_else(|| panic!("{name} is unknown"));
            assert_eq!(spec.effect, *effect, "{name}");
        }
    }
    let wiped = catalog.operation("transfer:StartRemoteDelete").unwrap();
    assert_eq!(wiped.reversibility, Reversibility::Irreversible);
}

/// What a name says that no mere read or write does, and the names that say it of something else.
#[test]
fn no_name_that_says_so_is_a_mere_write() {
    const SAYS: &[&str] = &[
        "Delete",
        "Deletion",
        "Terminate",
        "Decommission",
        "Retention",
        "Expiration",
        "Revoke",
        "Revocation",
        "Grant",
        "Password",
        "Credential",
        "Firewall",
        "TrustStore",
    ];
    const ELSEWHERE: &[&str] = &["kms:CancelKeyDeletion", "wickr:CreateDataRetentionBot"];
    let catalog = Catalog::embedded("aws").unwrap();
    let mut seen = 0;
    let operations = table::services()
        .flat_map(|service| service.routes.iter().map(|route| (service.name, route.name)));
    for (service, operation) in operations {
        let name = format!("{service}:{operation}");
        seen += 1;
        let Some(spec) = catalog.operation(&name) else { continue };
        let says = SAYS.iter().any(|word| operation.contains(word));
        let says = says && !operation.starts_with("Notify") && !ELSEWHERE.contains(&&*name);
        assert!(!(says && spec.effect == Write), "{name}");
    }
    assert!(seen > 1000, "{seen}");
}
