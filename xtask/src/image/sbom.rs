//! What is in an image, as `CycloneDX` 1.6 writes it down: <https://cyclonedx.org/docs/1.6/json/>.

mod crates;
mod installed;

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use self::{crates::Crates, installed::Installed};
use super::{
    architecture::Architecture,
    commit::Commit,
    layout::Layout,
    packages::{NAMES, Package},
};
use crate::checkout::Checkout;

/// What package URLs leave as it is: <https://github.com/package-url/purl-spec>.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');

/// The list of an image: its packages of Debian's, and the crates that its two programs are linked from.
/// `pinned` has the hashes of packages that were unpacked here.
pub(super) fn sbom(
    checkout: &Checkout,
    commit: &Commit,
    layout: &Layout,
    pinned: &[Package],
) -> anyhow::Result<Vec<u8>> {
    let architecture = layout.architecture()?;
    let installed = Installed::read(layout)?;
    let crates = Crates::linked(checkout, architecture)?;
    let debian: Vec<Value> = installed
        .packages
        .iter()
        .map(|package| debian_component(package, &installed.release, pinned))
        .collect();
    let digest = layout.manifest.digest().to_string();
    let image = format!(
        "pkg:oci/taskhub@{}?arch={architecture}",
        utf8_percent_encode(&digest, ENCODED)
    );
    let mut dependencies = crates.dependencies.clone();
    let parts = crates
        .roots
        .iter()
        .cloned()
        .chain(debian.iter().map(reference));
    dependencies.insert(image.clone(), parts.collect());
    let components: Vec<Value> = debian
        .into_iter()
        .chain(operating_system(&installed.release))
        .chain(crates.components(&installed.programs))
        .collect();
    let list = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": commit.created,
            "tools": {"components": [{
                "type": "application",
                "name": "cargo xtask image",
                "version": env!("CARGO_PKG_VERSION"),
            }]},
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": "taskhub",
                "version": commit.revision,
                "licenses": licences(env!("CARGO_PKG_LICENSE")),
                "hashes": hashes(layout.manifest.digest().digest()),
                "purl": image,
            },
        },
        "components": components,
        "dependencies": graph(&dependencies),
    });
    let mut bytes = serde_json::to_vec_pretty(&list)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// An image's own package, of the release that it is from.
fn debian_component(package: &installed::Package, release: &str, pinned: &[Package]) -> Value {
    let purl = format!(
        "pkg:deb/debian/{}@{}?arch={}&distro=debian-{release}",
        package.name,
        utf8_percent_encode(&package.version, ENCODED),
        package.architecture
    );
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
    });
    let licence = NAMES.iter().find(|(name, _)| *name == package.name);
    if let Some((_, licence)) = licence {
        component["licenses"] = licences(licence);
    }
    let file = pinned.iter().find(|file| file.name == package.name);
    if let Some(file) = file {
        component["hashes"] = hashes(&file.sha256);
    }
    component
}

/// Tells scanners whose advisories to look into.
fn operating_system(release: &str) -> Option<Value> {
    (!release.is_empty()).then(|| {
        json!({
            "type": "operating-system",
            "bom-ref": format!("debian-{release}"),
            "name": "debian",
            "version": release,
        })
    })
}

fn reference(component: &Value) -> String {
    component["bom-ref"].as_str().unwrap_or_default().to_owned()
}

fn licences(expression: &str) -> Value {
    json!([{"expression": expression}])
}

fn hashes(sha256: &str) -> Value {
    json!([{"alg": "SHA-256", "content": sha256}])
}

fn graph(dependencies: &BTreeMap<String, Vec<String>>) -> Vec<Value> {
    dependencies
        .iter()
        .map(|(from, to)| json!({"ref": from, "dependsOn": to}))
        .collect()
}

#[cfg(test)]
mod tests;
