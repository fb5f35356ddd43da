//! Which operation a request is, in every protocol, and what is refused.

mod judged;

use super::*;
use crate::message::tests::head;

/// The names that a request is read as; the reason where it cannot be read.
fn named(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Vec<String>, String> {
    let head = head(method, url, headers).map_err(|refused| format!("refused: {refused}"))?;
    let calls = calls(&head, body.as_bytes()).map_err(|unreadable| unreadable.to_string())?;
    Ok(calls
        .into_iter()
        .map(|call| if call.known { call.name } else { format!("?{}", call.name) })
        .collect())
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
const CBOR: (&str, &str) = ("smithy-protocol", "rpc-v2-cbor");

fn signed(scope: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/{scope}/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"
    )
}

#[test]
fn a_host_is_the_endpoint_of_one_service() {
    let cases = [
        ("ec2.us-east-1.amazonaws.com", Some(("ec2", Some("us-east-1"), None))),
        ("ec2.us-gov-west-1.amazonaws.com", Some(("ec2", Some("us-gov-west-1"), None))),
        ("ec2.cn-north-1.amazonaws.com.cn", Some(("ec2", Some("cn-north-1"), None))),
        ("ec2.eusc-de-east-1.amazonaws.eu", Some(("ec2", Some("eusc-de-east-1"), None))),
        ("ec2.us-east-1.api.aws", Some(("ec2", Some("us-east-1"), None))),
        ("ec2-fips.us-east-1.amazonaws.com", Some(("ec2", Some("us-east-1"), None))),
        ("sts.amazonaws.com", Some(("sts", None, None))),
        ("iam.us-gov.amazonaws.com", Some(("iam", None, None))),
        ("monitoring.us-east-1.amazonaws.com", Some(("cloudwatch", Some("us-east-1"), None))),
        ("email.us-east-1.amazonaws.com", Some(("ses", Some("us-east-1"), None))),
        ("api.ecr.us-east-1.amazonaws.com", Some(("ecr", Some("us-east-1"), None))),
        (
            "runtime.sagemaker.us-east-1.amazonaws.com",
            Some(("sagemaker-runtime", Some("us-east-1"), None)),
        ),
        ("123456789012.ddb.us-east-1.amazonaws.com", Some(("dynamodb", Some("us-east-1"), None))),
        (
            "123456789012.s3-control.us-east-1.amazonaws.com",
            Some(("s3control", Some("us-east-1"), None)),
        ),
        ("s3.amazonaws.com", Some(("s3", None, None))),
        ("s3.eu-west-1.amazonaws.com", Some(("s3", Some("eu-west-1"), None))),
        ("s3-eu-west-1.amazonaws.com", Some(("s3", Some("eu-west-1"), None))),
        ("s3.dualstack.eu-west-1.amazonaws.com", Some(("s3", Some("eu-west-1"), None))),
        ("s3-fips.dualstack.us-east-1.amazonaws.com", Some(("s3", Some("us-east-1"), None))),
        ("b.s3.eu-west-1.amazonaws.com", Some(("s3", Some("eu-west-1"), Some("b")))),
        ("a.b.s3.amazonaws.com", Some(("s3", None, Some("a.b")))),
        ("b.s3-accelerate.amazonaws.com", Some(("s3", None, Some("b")))),
        ("b.s3-accelerate.dualstack.amazonaws.com", Some(("s3", None, Some("b")))),
        (
            "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
            Some(("s3", Some("us-east-1"), Some("b--use1-az4--x-s3"))),
        ),
        (
            "eu-west-1.s3.us-east-1.amazonaws.com",
            Some(("s3", Some("us-east-1"), Some("eu-west-1"))),
        ),
        // Other people's, and what is not read.
        ("amazonaws.com", None),
        ("ec2.us-east-1.example.com", None),
        ("ec2-192-0-2-1.compute-1.amazonaws.com", None),
        ("web-1.us-east-1.elb.amazonaws.com", None),
        ("x.execute-api.us-east-1.amazonaws.com", None),
        ("x.us-east-1.es.amazonaws.com", None),
        ("b.s3-website-us-east-1.amazonaws.com", None),
        ("b.s3-website.us-east-1.amazonaws.com", None),
        ("p-123456789012.s3-accesspoint.us-east-1.amazonaws.com", None),
        ("x.s3-object-lambda.us-east-1.amazonaws.com", None),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com", None),
        ("ec2.evil.us-east-1.amazonaws.com", None),
        ("evil.ec2.us-east-1.amazonaws.com", None),
        ("b.s3.evil.amazonaws.com", None),
    ];
    for (host, expected) in cases {
        let found = Endpoint::of(host);
        let found = found.map(|found| (found.service.name, found.region, found.bucket));
        assert_eq!(found, expected, "{host}");
    }
}

#[test]
fn host_and_signature_name_the_same_service() {
    let cases = [
        ("ec2.us-east-1", "us-east-1/ec2", true),
        ("email.us-east-1", "us-east-1/ses", true),
        ("iam", "us-east-1/iam", true),
        ("iam", "us-east-1/ec2", false),
        ("ec2.us-east-1", "eu-west-1/ec2", false),
        ("ec2.us-east-1", "us-east-1/sts", false),
        ("ec2.us-east-1", "us-east-1/EC2", false),
        ("ec2.us-east-1", "us-east-1/ec2/x", false),
        ("ec2.us-east-1", "us-east-1", false),
        ("ec2.us-east-1", "", false),
    ];
    let query = "Action=DescribeThings";
    for (host, scope, fits) in cases {
        let url = format!("https://{host}.amazonaws.com/?{query}");
        let value = signed(scope);
        let found = named("GET", &url, &[("authorization", &value)], "");
        assert_eq!(found.is_ok(), fits, "{host} {scope}: {found:?}");
        let encoded = format!("AKIA/20260101/{scope}/aws4_request").replace('/', "%2F");
        let found = named("GET", &format!("{url}&X-Amz-Credential={encoded}"), &[], "");
        assert_eq!(found.is_ok(), fits, "{host} {scope} in the query: {found:?}");
    }
    let ec2 = "https://ec2.us-east-1.amazonaws.com/?Action=DescribeThings";
    let good = signed("us-east-1/ec2");
    let several = "AWS4-ECDSA-P256-SHA256 Credential=AKIA/20260101/ec2/aws4_request, Signature=0";
    for (url, headers, fits) in [
        (ec2.to_owned(), vec![("authorization", several)], true),
        (ec2.to_owned(), vec![("authorization", "Bearer x")], true),
        (ec2.to_owned(), vec![("authorization", &*good), ("authorization", "Bearer x")], false),
        (
            format!("{ec2}&X-Amz-Credential=A%2F2%2Fus-east-1%2Fec2%2Faws4_request"),
            vec![("authorization", &*good)],
            false,
        ),
        (
            format!(
                "{ec2}&X-Amz-Credential=A%2F2%2Fus-east-1%2Fec2%2Faws4_request&x-amz-credential=x"
            ),
            vec![],
            false,
        ),
        (ec2.to_owned(), vec![("authorization", "AWS4-HMAC-SHA256 Signature=0")], false),
        (
            ec2.to_owned(),
            vec![(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=A/2/us-east-1/ec2/aws4_request, credential=A/2/us-east-1/iam/aws4_request",
            )],
            false,
        ),
        (
            ec2.to_owned(),
            vec![("authorization", "aws4-hmac-sha256 Credential=A/2/us-east-1/iam/aws4_request")],
            false,
        ),
    ] {
        let found = named("GET", &url, &headers, "");
        assert_eq!(found.is_ok(), fits, "{url} {headers:?}: {found:?}");
    }
}

type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);

#[test]
fn each_protocol_names_its_operation() {
    let cases: &[Case<'_>] = &[
        ("GET", "https://ec2.us-east-1.amazonaws.com/?Action=A", &[], "", &["ec2:A"]),
        ("HEAD", "https://ec2.us-east-1.amazonaws.com/?Action=A", &[], "", &["ec2:A"]),
        ("POST", "https://ec2.us-east-1.amazonaws.com/?Action=A", &[], "", &["ec2:A"]),
        ("POST", "https://ec2.us-east-1.amazonaws.com/", &[FORM], "Action=A&Version=1", &["ec2:A"]),
        (
            "POST",
            "https://ec2.us-east-1.amazonaws.com/?X-Amz-Signature=0",
            &[FORM],
            "Action=A",
            &["ec2:A"],
        ),
        ("POST", "https://sqs.us-east-1.amazonaws.com/1/jobs", &[FORM], "Action=A", &["sqs:A"]),
        ("POST", "https://email.us-east-1.amazonaws.com/", &[FORM], "Action=A", &["ses:A"]),
        (
            "GET",
            "https://email.us-east-1.amazonaws.com/v2/email/account",
            &[],
            "",
            &["ses:GetAccount"],
        ),
        (
            "POST",
            "https://kms.us-east-1.amazonaws.com/",
            &[JSON, ("x-amz-target", "TrentService.A")],
            "{}",
            &["kms:A"],
        ),
        (
            "POST",
            "https://kms.us-east-1.amazonaws.com/",
            &[JSON, ("x-amz-target", "TrentService.A")],
            "",
            &["kms:A"],
        ),
        (
            "POST",
            "https://kms.us-east-1.amazonaws.com/",
            &[JSON, ("x-amz-target", "Other.A")],
            "{}",
            &["?kms:A"],
        ),
        (
            "POST",
            "https://kms.us-east-1.amazonaws.com/",
            &[JSON, ("x-amz-target", "trentservice.A")],
            "{}",
            &["?kms:A"],
        ),
        (
            "POST",
            "https://monitoring.us-east-1.amazonaws.com/service/GraniteServiceVersion20100801/operation/A",
            &[CBOR],
            "x",
            &["cloudwatch:A"],
        ),
        (
            "DELETE",
            "https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/f/",
            &[],
            "",
            &["lambda:DeleteFunction"],
        ),
        (
            "HEAD",
            "https://lambda.us-east-1.amazonaws.com/2015-03-31/functions",
            &[],
            "",
            &["lambda:ListFunctions"],
        ),
        (
            "POST",
            "https://cloudfront.amazonaws.com/2020-05-31/tagging?Operation=Tag&Resource=x",
            &[],
            "",
            &["cloudfront:TagResource"],
        ),
        // Unknown, not another.
        ("PUT", "https://ec2.us-east-1.amazonaws.com/?Action=A", &[], "", &[]),
        ("GET", "https://ec2.us-east-1.amazonaws.com/", &[], "", &[]),
        ("GET", "https://ec2.us-east-1.amazonaws.com/x?Action=A", &[], "", &[]),
        ("GET", "https://kms.us-east-1.amazonaws.com/", &[], "", &[]),
        ("OPTIONS", "https://b.s3.amazonaws.com/k", &[], "", &[]),
        ("POST", "https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/f/x", &[], "{}", &[]),
        (
            "POST",
            "https://cloudfront.amazonaws.com/2020-05-31/tagging?Operation=Other&Resource=x",
            &[],
            "",
            &[],
        ),
    ];
    for (method, url, headers, body, expected) in cases {
        let found = named(method, url, headers, body);
        assert_eq!(found.as_deref(), Ok(&expected.map_owned()[..]), "{method} {url} {headers:?}");
    }
}

trait Owned {
    fn map_owned(&self) -> Vec<String>;
}

impl Owned for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|&text| text.to_owned()).collect()
    }
}

#[test]
fn what_two_protocols_read_differently_is_refused() {
    let target = ("x-amz-target", "TrentService.ListKeys");
    let delete = ("x-amz-target", "TrentService.ScheduleKeyDeletion");
    let kms = "https://kms.us-east-1.amazonaws.com/";
    let ec2 = "https://ec2.us-east-1.amazonaws.com/";
    let function = "https://lambda.us-east-1.amazonaws.com/2017-10-31/functions/f/concurrency";
    let cbor = "https://monitoring.us-east-1.amazonaws.com/service/GraniteServiceVersion20100801/operation/A";
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Case<'_>] = &[
        // Action in two places, in two spellings, or in a body that is no form.
        ("POST", &format!("{ec2}?Action=A"), &[FORM], "Action=B"),
        ("POST", &format!("{ec2}?Version=1"), &[FORM], "Action=B"),
        ("GET", &format!("{ec2}?Action=A"), &[FORM], "Action=B"),
        ("GET", &format!("{ec2}?Action=A&Action=B"), &[], ""),
        ("GET", &format!("{ec2}?action=A"), &[], ""),
        ("GET", &format!("{ec2}?Action=A&%61ction=B"), &[], ""),
        ("POST", ec2, &[("content-type", "text/plain")], "Action=A"),
        ("POST", ec2, &[], "Action=A"),
        (
            "POST",
            ec2,
            &[("content-type", "application/x-www-form-urlencoded; charset=utf-16")],
            "Action=A",
        ),
        ("POST", ec2, &[FORM], "Action=A;Action=B"),
        ("POST", ec2, &[FORM], "Action=A\r\nAction=B"),
        (
            "POST",
            ec2,
            &[FORM, ("x-amz-target", "Ec2.DescribeInstances")],
            "Action=TerminateInstances",
        ),
        // The target twice, elsewhere, or with what another protocol reads.
        ("POST", kms, &[JSON, target, delete], "{}"),
        ("POST", &format!("{kms}?X-Amz-Target=TrentService.ListKeys"), &[JSON, delete], "{}"),
        ("POST", &format!("{kms}?Action=ScheduleKeyDeletion"), &[JSON, target], "{}"),
        ("POST", &format!("{kms}x"), &[JSON, target], "{}"),
        ("GET", kms, &[JSON, target], ""),
        ("POST", kms, &[FORM, target], "{}"),
        ("POST", kms, &[target], "{}"),
        ("POST", kms, &[JSON, ("x-amz-target", "ScheduleKeyDeletion")], "{}"),
        ("POST", kms, &[JSON, ("x-amz-target", "TrentService.")], "{}"),
        ("POST", kms, &[JSON, ("x-amz-target", "TrentService.A,TrentService.B")], "{}"),
        ("POST", kms, &[JSON, target, CBOR], "{}"),
        // JSON with two readings.
        ("POST", kms, &[JSON, target], "{\"KeyId\":\"a\",\"KeyId\":\"b\"}"),
        ("POST", kms, &[JSON, target], "{\"KeyId\":\"a\",\"keyid\":\"b\"}"),
        ("POST", kms, &[JSON, target], "{} {}"),
        ("POST", kms, &[JSON, target], "[]"),
        ("POST", kms, &[JSON, target], "KeyId=a"),
        // CBOR that does not fit its path or host.
        ("POST", cbor, &[CBOR, ("x-amz-target", "GraniteServiceVersion20100801.B")], "x"),
        ("GET", cbor, &[CBOR], ""),
        ("POST", kms, &[CBOR], "x"),
        ("POST", &cbor.replace("Granite", "Other"), &[CBOR], "x"),
        ("POST", "https://lambda.us-east-1.amazonaws.com/2015-03-31/functions", &[CBOR], "{}"),
        // REST.
        ("PUT", function, &[JSON, target], "{}"),
        ("PUT", function, &[], "{"),
        (
            "POST",
            "https://cloudfront.amazonaws.com/2020-05-31/tagging?Operation=Tag&Operation=Untag",
            &[],
            "",
        ),
        // A body cut into signed chunks is not what it says.
        ("PUT", function, &[("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")], "{}"),
        (
            "POST",
            "https://b.s3.amazonaws.com/?delete",
            &[("x-amz-decoded-content-length", "3")],
            "<x/>",
        ),
    ];
    for (method, url, headers, body) in cases {
        let found = named(method, url, headers, body);
        assert!(
            found.as_ref().is_err_and(|why| !why.starts_with("refused")),
            "{method} {url} {headers:?} {body}: {found:?}"
        );
    }
}

#[test]
fn objects_and_buckets_in_both_styles() {
    let cases = [
        ("GET", "/", "s3:ListBuckets"),
        ("GET", "/b", "s3:ListObjects"),
        ("GET", "/b/", "s3:ListObjects"),
        ("GET", "/b?list-type=2", "s3:ListObjectsV2"),
        ("GET", "/b?list-type=1", ""),
        ("GET", "/b/k", "s3:GetObject"),
        ("GET", "/b/k/l?versionId=1", "s3:GetObject"),
        ("GET", "/b/k?x-id=GetObject", "s3:GetObject"),
        ("HEAD", "/b/k", "s3:HeadObject"),
        ("HEAD", "/b", "s3:HeadBucket"),
        ("GET", "/b?acl", "s3:GetBucketAcl"),
        ("GET", "/b/k?acl=", "s3:GetObjectAcl"),
        ("GET", "/b?policy", "s3:GetBucketPolicy"),
        ("GET", "/b?analytics", "s3:ListBucketAnalyticsConfigurations"),
        ("GET", "/b?analytics&id=1", "s3:GetBucketAnalyticsConfiguration"),
        ("GET", "/b/k?uploadId=1", "s3:ListParts"),
        ("PUT", "/b", "s3:CreateBucket"),
        ("PUT", "/b?versioning", "s3:PutBucketVersioning"),
        ("PUT", "/b/k", "s3:PutObject"),
        ("PUT", "/b/k?partNumber=1&uploadId=1", "s3:UploadPart"),
        ("POST", "/b/k?uploads", "s3:CreateMultipartUpload"),
        ("POST", "/b/k?uploadId=1", "s3:CompleteMultipartUpload"),
        ("POST", "/b/k?select&select-type=2", "s3:SelectObjectContent"),
        ("DELETE", "/b", "s3:DeleteBucket"),
        ("DELETE", "/b/", "s3:DeleteBucket"),
        ("DELETE", "/b?lifecycle", "s3:DeleteBucketLifecycle"),
        ("DELETE", "/b/k", "s3:DeleteObject"),
        ("DELETE", "/b/k?uploadId=1", "s3:AbortMultipartUpload"),
        ("DELETE", "/b/k?tagging", "s3:DeleteObjectTagging"),
        // What a sub-resource or a header would make of it is not known.
        ("GET", "/b/k?frobnicate", ""),
        ("GET", "/b?acl&policy", ""),
        ("GET", "/b?ACL", ""),
        ("DELETE", "/b/k?frobnicate=1", ""),
        ("PUT", "/b/k?partNumber=1", ""),
        ("PUT", "/b/k?x-amz-acl=public-read", ""),
        ("PUT", "/b/k?X-Amz-Copy-Source=c%2Fk", ""),
        ("POST", "/b/k", ""),
        ("POST", "/b", ""),
        ("PATCH", "/b/k", ""),
        ("PUT", "/v20180820/accesspoint/x/scope", ""),
    ];
    for (method, path, expected) in cases {
        let expected: Vec<String> =
            (!expected.is_empty()).then(|| expected.to_owned()).into_iter().collect();
        let url = format!("https://s3.us-east-1.amazonaws.com{path}");
        assert_eq!(named(method, &url, &[], ""), Ok(expected.clone()), "{method} {url}");
        if let Some(inside) = path.strip_prefix("/b") {
            let inside = inside.strip_prefix('/').unwrap_or(inside);
            let url = format!("https://b.s3.us-east-1.amazonaws.com/{inside}");
            assert_eq!(named(method, &url, &[], ""), Ok(expected), "{method} {url}");
        }
    }
}

#[test]
fn headers_select_copies_and_what_is_copied_is_known() {
    let url = "https://b.s3.us-east-1.amazonaws.com/k";
    let sources = [
        ("/c/k", Some("c")),
        ("c/k%20l?versionId=1", Some("c")),
        ("%2Fc%2Fk", Some("c")),
        ("c", None),
        ("/c/", None),
        ("//k", None),
        ("%ff/k", None),
    ];
    for (source, bucket) in sources {
        let head = head("PUT", url, &[("x-amz-copy-source", source)]).unwrap();
        let found = calls(&head, b"");
        let found = found.ok().map(|calls| {
            assert_eq!(calls[0].name, "s3:CopyObject");
            calls[0].arguments.values()["CopySource"].as_str().unwrap().to_owned()
        });
        assert_eq!(found.as_deref(), bucket, "{source}");
    }
    let part = format!("{url}?partNumber=1&uploadId=1");
    let copy = ("x-amz-copy-source", "c/k");
    assert_eq!(named("PUT", &part, &[copy], ""), Ok(vec!["s3:UploadPartCopy".to_owned()]));
    // On anything else it is not known what it does.
    assert_eq!(named("DELETE", url, &[copy], ""), Ok(vec![]));
    assert_eq!(named("PUT", &format!("{url}?acl"), &[copy], ""), Ok(vec![]));
    for (query, headers) in [
        ("?versionId=1&versionId=2", &[][..]),
        ("?versionId=1&VERSIONID=2", &[]),
        ("?x-id=DeleteObject", &[]),
        ("", &[("x-amz-acl", "private"), ("x-amz-acl", "public-read")]),
    ] {
        let url = format!("{url}{query}");
        assert!(named("GET", &url, headers, "").is_err(), "{url} {headers:?}");
    }
}

#[test]
fn the_same_name_in_two_places_is_both() {
    let url =
        "https://lambda.us-east-1.amazonaws.com/2017-10-31/functions/f/concurrency?FunctionName=g";
    let head = head("PUT", url, &[]).unwrap();
    let calls = calls(&head, b"{\"FunctionName\": \"h\"}").unwrap();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(call.arguments.values()["FunctionName"], serde_json::json!(["h", "g", "f"]));
}
