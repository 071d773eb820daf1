//! `cargo xtask image build`: the image on disk, and the list of what is in it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    architecture::Architecture,
    base::Base,
    binaries::{self, Binary},
    commit::Commit,
    config::config,
    engine::{Choice, Engine},
    layers::layers,
    layout::Layout,
    packages::{self, Package},
    sbom,
    tree::Layer,
};
use crate::{
    checkout::Checkout,
    exit::{Exit, Failed},
    progress::{self, Step},
    shell,
    signals::Signals,
};

/// Make the image of this commit, and a list of everything in it
///
/// From the Dockerfile where a container engine runs. Without one, from this machine's own programs over a few
/// packages of Debian 12, which xtask/image.lock.txt pins; the same commit then gives the same digest. Prints the
/// digest, and leaves an OCI layout and an SBOM in the output folder.
///
/// Example: cargo xtask image build --engine none --output /tmp/image
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// What builds it
    #[arg(long, value_name = "NAME", default_value = "auto")]
    engine: Choice,
    /// Where oci/ and sbom.cdx.json are put; target/image unless given
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// A folder with taskhub-api and taskhub-worker, instead of compiling them; needs no engine
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Where the sources can be had, for the image's label
    #[arg(long, value_name = "URL", default_value = "")]
    source: String,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// A service is replaced as fast as its image is fetched.
pub(crate) const LARGEST: u64 = 60_000_000;

/// What was built, in a folder of its own until all of it is there.
struct Image {
    layout: Layout,
    /// Their names, where we made them.
    names: Vec<&'static str>,
    packages: Vec<Package>,
}

pub(super) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let commit = Commit::of(&checkout.root)?;
    warn_of(&commit);
    let output = output(arguments, &checkout)?;
    let engine = match &arguments.binaries {
        None => arguments.engine.engine(),
        Some(_) if matches!(arguments.engine, Choice::Auto | Choice::None) => None,
        Some(_) => {
            let why = "--binaries is for images that no engine builds: leave out --engine";
            return Err(Failed::because(Exit::Usage, why));
        }
    };
    let draft = tempfile::Builder::new()
        .prefix("draft-")
        .tempdir_in(&output)?;
    let image = match engine {
        Some(engine) => {
            from_dockerfile(engine, arguments, &checkout, &commit, draft.path(), signals)
        }
        None => from_packages(arguments, &checkout, &commit, draft.path(), signals),
    }?;
    let step = Step::start();
    let list = sbom::sbom(&checkout, &commit, &image.layout, &image.packages)?;
    step.done("SBOM written");

    let (oci, sbom) = (output.join("oci"), output.join("sbom.cdx.json"));
    if oci.exists() {
        fs::remove_dir_all(&oci)?;
    }
    fs::rename(draft.path().join("oci"), &oci)?;
    fs::write(&sbom, list)?;
    report(&image, engine, &commit, &oci, &sbom, arguments.json)?;
    let size = image.layout.size();
    if size > LARGEST {
        let why = format!(
            "the image has {}, more than the {} that it may have",
            megabytes(size),
            megabytes(LARGEST)
        );
        return Err(Failed::because(Exit::Refused, why));
    }
    Ok(ExitCode::SUCCESS)
}

/// Absolute, for engines that work elsewhere.
fn output(arguments: &Arguments, checkout: &Checkout) -> anyhow::Result<PathBuf> {
    let output = arguments.output.clone();
    let output = output.unwrap_or_else(|| checkout.target.join("image"));
    fs::create_dir_all(&output).with_context(|| format!("{} cannot be made", output.display()))?;
    Ok(output.canonicalize()?)
}

fn warn_of(commit: &Commit) {
    if !commit.changed.is_empty() {
        progress::say(format_args!(
            "warning: {} files differ from the commit, first {:?}: the image is marked {} and cannot be pushed",
            commit.changed.len(),
            commit.changed[0].trim(),
            commit.revision
        ));
    }
}

fn from_dockerfile(
    engine: Engine,
    arguments: &Arguments,
    checkout: &Checkout,
    commit: &Commit,
    draft: &Path,
    signals: &Signals,
) -> anyhow::Result<Image> {
    let folder = draft.join("oci");
    fs::create_dir(&folder)?;
    engine.build(checkout, commit, &arguments.source, &folder, signals)?;
    let layout = Layout::open(&folder)
        .with_context(|| format!("{} left no image that can be read", engine.name()))?;
    Ok(Image {
        layout,
        names: Vec::new(),
        packages: Vec::new(),
    })
}

fn from_packages(
    arguments: &Arguments,
    checkout: &Checkout,
    commit: &Commit,
    draft: &Path,
    signals: &Signals,
) -> anyhow::Result<Image> {
    let folder = match &arguments.binaries {
        Some(folder) => folder.clone(),
        None => binaries::compile(checkout, commit, signals)?,
    };
    let binaries = binaries::read(&folder, checkout)?;
    let architecture = architecture(&binaries)?;
    let packages = packages::locked(checkout, architecture)?;
    let files = packages::fetch(checkout, &packages, signals)?;
    let base = Base::unpack(checkout, &packages, &files, signals)?;
    check(&binaries, &base)?;

    let step = Step::start();
    let layers = layers(&base, &binaries, commit)?;
    let config = config(commit, &arguments.source, architecture, &layers)?;
    let folder = draft.join("oci");
    let layout = Layout::write(&folder, &commit.revision, architecture, &config, &layers)?;
    step.done(format_args!(
        "{} of layers compressed",
        megabytes(unpacked(&layers))
    ));
    Ok(Image {
        layout,
        names: layers.iter().map(|layer| layer.name).collect(),
        packages,
    })
}

fn unpacked(layers: &[Layer]) -> u64 {
    layers.iter().map(|layer| layer.unpacked).sum()
}

fn architecture(binaries: &[Binary]) -> anyhow::Result<Architecture> {
    let mut found = binaries.iter().map(|binary| binary.elf.architecture);
    let first = found.next().context("no programs")?;
    anyhow::ensure!(
        found.all(|other| other == first),
        "the programs are made for different processors"
    );
    Ok(first)
}

/// Programs that need a newer C library than the base's would not start.
fn check(binaries: &[Binary], base: &Base) -> anyhow::Result<()> {
    for binary in binaries {
        let unmet = binary.elf.unmet(&base.system)?;
        if !unmet.is_empty() {
            let why = format!(
                "{} does not run on Debian 12: {}. Build it there, or with --engine docker",
                binary.name,
                unmet.join(", ")
            );
            return Err(Failed::because(Exit::Refused, why));
        }
    }
    Ok(())
}

fn report(
    image: &Image,
    engine: Option<Engine>,
    commit: &Commit,
    oci: &Path,
    sbom: &Path,
    as_json: bool,
) -> anyhow::Result<()> {
    let name = |at: usize| image.names.get(at).copied().unwrap_or("layer");
    let layers = image.layout.layers.iter().enumerate();
    let digest = image.layout.manifest.digest().to_string();
    let mut out = std::io::stdout().lock();
    if as_json {
        let layers: Vec<Value> = layers
            .map(|(at, layer)| json!({"name": name(at), "digest": layer.digest().to_string(), "bytes": layer.size()}))
            .collect();
        let answer = json!({
            "digest": digest,
            "revision": commit.revision,
            "dirty": !commit.changed.is_empty(),
            "engine": engine.map_or("none", Engine::name),
            "bytes": image.layout.size(),
            "layers": layers,
            "layout": oci,
            "sbom": sbom,
        });
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    for (at, layer) in layers {
        let size = megabytes(layer.size());
        progress::say(format_args!(
            "{size:>11}  {:<12}  {}",
            name(at),
            layer.digest()
        ));
    }
    progress::say(format_args!(
        "{:>11}  in all        {}",
        megabytes(image.layout.size()),
        shell::word(oci)
    ));
    writeln!(out, "{digest}")?;
    Ok(())
}

/// As registries and their bills count.
pub(crate) fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_never_said_too_small() {
        assert_eq!(megabytes(60_000_000), "60.0 MB");
        assert_eq!(megabytes(60_000_001), "60.1 MB");
        assert_eq!(megabytes(1), "0.1 MB");
    }
}
