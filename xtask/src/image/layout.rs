//! An image on disk: a folder as OCI's image layout defines it, which engines and registries' tools read.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageConfiguration, ImageIndex, ImageIndexBuilder,
    ImageManifest, ImageManifestBuilder, MediaType, OciLayoutBuilder, PlatformBuilder,
    SCHEMA_VERSION, Sha256Digest,
};
use serde::Serialize;

use super::{architecture::Architecture, sha256, tree::Layer};

/// An image of one manifest.
pub(super) struct Layout {
    folder: PathBuf,
    /// What names the image.
    pub(super) manifest: Descriptor,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

const REVISION: &str = "org.opencontainers.image.revision";
/// What tools call the image within its folder.
const NAME: &str = "org.opencontainers.image.ref.name";

impl Layout {
    /// Writes an image into an empty folder.
    pub(super) fn write(
        folder: &Path,
        revision: &str,
        architecture: Architecture,
        config: &[u8],
        layers: &[Layer],
    ) -> anyhow::Result<Self> {
        let blobs = Blobs::create(folder)?;
        let layers = layers
            .iter()
            .map(|layer| blobs.add(MediaType::ImageLayerGzip, &layer.compressed))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(blobs.add(MediaType::ImageConfig, config)?)
            .layers(layers)
            .build()?;
        let mut named = blobs.add(MediaType::ImageManifest, &json(&manifest)?)?;
        named.set_annotations(Some([(NAME.to_owned(), revision.to_owned())].into()));
        let platform = PlatformBuilder::default()
            .os("linux")
            .architecture(architecture.as_str());
        named.set_platform(Some(platform.build()?));
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests([named])
            .build()?;
        fs::write(folder.join("index.json"), json(&index)?)?;
        let version = OciLayoutBuilder::default().image_layout_version("1.0.0");
        fs::write(folder.join("oci-layout"), json(&version.build()?)?)?;
        Self::open(folder)
    }

    /// Reads an image and makes sure that each of its parts is what its digest says.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let index = File::open(folder.join("index.json"))
            .with_context(|| format!("there is no image in {}", folder.display()))?;
        let index = ImageIndex::from_reader(index)?;
        let [named] = index.manifests().as_slice() else {
            anyhow::bail!("{} holds several images", folder.display());
        };
        let bytes = fs::read(blob(folder, named))?;
        let manifest = ImageManifest::from_reader(bytes.as_slice())?;
        let layout = Self {
            folder: folder.to_owned(),
            manifest: named.clone(),
            config: manifest.config().clone(),
            layers: manifest.layers().clone(),
        };
        for part in layout.parts() {
            layout.read(part)?;
        }
        Ok(layout)
    }

    /// Manifest, configuration and layers.
    fn parts(&self) -> impl Iterator<Item = &Descriptor> {
        [&self.manifest, &self.config]
            .into_iter()
            .chain(&self.layers)
    }

    /// The bytes of a part.
    pub(super) fn read(&self, part: &Descriptor) -> anyhow::Result<Vec<u8>> {
        let path = blob(&self.folder, part);
        let bytes = fs::read(&path).with_context(|| format!("{} is not there", path.display()))?;
        ensure!(
            sha256(&bytes) == part.digest().digest(),
            "{} is damaged: build the image again",
            path.display()
        );
        Ok(bytes)
    }

    fn configuration(&self) -> anyhow::Result<ImageConfiguration> {
        Ok(ImageConfiguration::from_reader(
            self.read(&self.config)?.as_slice(),
        )?)
    }

    pub(super) fn architecture(&self) -> anyhow::Result<Architecture> {
        let name = self.configuration()?.architecture().to_string();
        Architecture::parse(&name).with_context(|| format!("the image is made for {name}"))
    }

    /// The commit that it is labelled with.
    pub(super) fn revision(&self) -> anyhow::Result<String> {
        let configuration = self.configuration()?;
        let labels = configuration
            .config()
            .as_ref()
            .and_then(|config| config.labels().as_ref());
        let revision = labels.and_then(|labels| labels.get(REVISION));
        let revision = revision.filter(|revision| !revision.is_empty());
        revision
            .cloned()
            .with_context(|| format!("the image has no label {REVISION}"))
    }

    /// What a registry keeps, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.parts().map(Descriptor::size).sum()
    }
}

struct Blobs(PathBuf);

impl Blobs {
    fn create(folder: &Path) -> anyhow::Result<Self> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        Ok(Self(blobs))
    }

    fn add(&self, kind: MediaType, bytes: &[u8]) -> anyhow::Result<Descriptor> {
        let digest = sha256(bytes);
        fs::write(self.0.join(&digest), bytes)?;
        Ok(DescriptorBuilder::default()
            .media_type(kind)
            .digest(digest.parse::<Sha256Digest>()?)
            .size(bytes.len() as u64)
            .build()?)
    }
}

fn blob(folder: &Path, part: &Descriptor) -> PathBuf {
    let digest = part.digest();
    folder
        .join("blobs")
        .join(digest.algorithm().as_ref())
        .join(digest.digest())
}

/// By way of a value, whose keys are sorted.
fn json(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&serde_json::to_value(value)?)?)
}
