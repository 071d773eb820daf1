use super::*;

#[test]
fn a_package_url_survives_debians_versions() {
    let package = installed::Package {
        name: "libc6".to_owned(),
        version: "1:2.36-9+deb12u14".to_owned(),
        architecture: "amd64".to_owned(),
    };
    let pinned = Package {
        architecture: Architecture::Amd64,
        name: "libc6".to_owned(),
        version: package.version.clone(),
        sha256: "ba4f".to_owned(),
    };
    let component = debian_component(&package, "12", &[pinned]);
    assert_eq!(
        component["purl"],
        "pkg:deb/debian/libc6@1%3A2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12"
    );
    assert_eq!(component["licenses"][0]["expression"], "LGPL-2.1-or-later");
    assert_eq!(component["hashes"][0]["content"], "ba4f");
}
