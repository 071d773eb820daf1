//! The images, the operators' bucket, and the bucket of logs.

use serde_json::{Value, json};

use crate::render::{
    iam,
    template::{Template, attribute, compact, reference, sub},
};

pub(crate) const REPOSITORY: &str = "taskhub";

/// Images that are kept whatever happens: each may be what a rollback needs.
const KEPT_IMAGES: u32 = 100;

/// Days for which load balancers' and buckets' access logs are kept.
const LOG_DAYS: u32 = 400;

pub(super) fn add(template: &mut Template) {
    repository(template);
    let state = json!({
        "BucketName": sub("taskhub-state-${AWS::AccountId}-${AWS::Region}"),
        "BucketEncryption": encryption(json!({
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": attribute("Key", "Arn"),
        })),
        "LoggingConfiguration": {"DestinationBucketName": reference("LogBucket"), "LogFilePrefix": "state/"},
        "LifecycleConfiguration": {"Rules": [
            // Locks are rewritten every half minute while a release goes on.
            {"Id": "old-locks", "Status": "Enabled", "Prefix": "locks/", "NoncurrentVersionExpiration": {"NoncurrentDays": 7}},
            {"Id": "old-plans", "Status": "Enabled", "Prefix": "plans/", "ExpirationInDays": 90,
                "NoncurrentVersionExpiration": {"NoncurrentDays": 7}},
            incomplete_uploads(),
        ]},
    });
    bucket(template, "StateBucket", state, Vec::new());
    let logs = json!({
        "BucketName": sub("taskhub-logs-${AWS::AccountId}-${AWS::Region}"),
        // Load balancers write to no bucket that has a key of ours.
        "BucketEncryption": encryption(json!({"SSEAlgorithm": "AES256"})),
        "LifecycleConfiguration": {"Rules": [
            {"Id": "old-logs", "Status": "Enabled", "ExpirationInDays": LOG_DAYS,
                "NoncurrentVersionExpiration": {"NoncurrentDays": 7}},
            incomplete_uploads(),
        ]},
    });
    bucket(
        template,
        "LogBucket",
        logs,
        vec![load_balancer_logs(), access_logs()],
    );
}

fn repository(template: &mut Template) {
    let rules = json!({"rules": [
        {
            "rulePriority": 1,
            "description": "What no tag names was replaced while it was built",
            "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "description": "Releases that a rollback may still need",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES},
            "action": {"type": "expire"},
        },
    ]});
    template
        .add(
            "Repository",
            "AWS::ECR::Repository",
            json!({
                "RepositoryName": REPOSITORY,
                "ImageTagMutability": "IMMUTABLE",
                "ImageScanningConfiguration": {"ScanOnPush": true},
                "EncryptionConfiguration": {"EncryptionType": "KMS", "KmsKey": attribute("Key", "Arn")},
                "LifecyclePolicy": {"LifecyclePolicyText": compact(&rules)},
            }),
        )
        .retained();
}

fn encryption(default: Value) -> Value {
    json!({"ServerSideEncryptionConfiguration": [
        {"ServerSideEncryptionByDefault": default, "BucketKeyEnabled": true},
    ]})
}

fn incomplete_uploads() -> Value {
    json!({"Id": "incomplete-uploads", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}})
}

/// A private, versioned bucket that is spoken to over TLS only.
fn bucket(template: &mut Template, id: &str, mut properties: Value, statements: Vec<Value>) {
    properties["VersioningConfiguration"] = json!({"Status": "Enabled"});
    properties["OwnershipControls"] =
        json!({"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]});
    properties["PublicAccessBlockConfiguration"] = json!({
        "BlockPublicAcls": true,
        "BlockPublicPolicy": true,
        "IgnorePublicAcls": true,
        "RestrictPublicBuckets": true,
    });
    template.add(id, "AWS::S3::Bucket", properties).retained();
    let tls = json!({
        "Sid": "EncryptedOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [sub(format!("${{{id}.Arn}}")), sub(format!("${{{id}.Arn}}/*"))],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    });
    let statements = std::iter::once(tls).chain(statements).collect();
    template.add(
        format!("{id}Policy"),
        "AWS::S3::BucketPolicy",
        json!({"Bucket": reference(id), "PolicyDocument": iam::policy(statements)}),
    );
}

fn load_balancer_logs() -> Value {
    json!({
        "Sid": "LoadBalancers",
        "Effect": "Allow",
        "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": sub("${LogBucket.Arn}/load-balancer/*"),
        "Condition": {
            "StringEquals": {"aws:SourceAccount": reference("AWS::AccountId")},
            "ArnLike": {"aws:SourceArn": iam::arn("elasticloadbalancing", "loadbalancer/*")},
        },
    })
}

fn access_logs() -> Value {
    json!({
        "Sid": "Buckets",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": sub("${LogBucket.Arn}/state/*"),
        "Condition": {
            "StringEquals": {"aws:SourceAccount": reference("AWS::AccountId")},
            "ArnLike": {"aws:SourceArn": sub("arn:${AWS::Partition}:s3:::taskhub-state-${AWS::AccountId}-${AWS::Region}")},
        },
    })
}
