//! Versions, and which of them fit together: pure.
//!
//! Of a version `1.2.3` the first two numbers count, with a first of 0 too: what a minor version
//! reads and writes, the next may have changed.

use std::fmt;

use serde::{Serialize, Serializer};

use super::codes::Code;
use super::finding::{Finding, Look, count, named};

/// This sluice's version.
pub const OWN: &str = env!("CARGO_PKG_VERSION");

/// The minor version of Istio that all tests run against.
pub const TESTED_ISTIO: [u64; 2] = [1, 31];

/// The first minor version of Istio that knows TrafficExtensions.
const FIRST_WITH_EXTENSIONS: [u64; 2] = [1, 30];

/// A version: major, minor and patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u64; 3]);

impl Version {
    /// From a text such as `1.31.1-distroless`, `v1.35.4` or `0.1.0`; a patch that is not there is 0.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let mut numbers = text.get(..end.unwrap_or(text.len()))?.split('.');
        let mut next = || numbers.next()?.parse::<u64>().ok();
        let (major, minor) = (next()?, next()?);
        Some(Self([major, minor, next().unwrap_or(0)]))
    }

    /// From an image such as `docker.io/istio/pilot:1.31.1-distroless@sha256:…`; `None` where its tag
    /// is no version.
    pub fn of_image(image: &str) -> Option<Self> {
        let tagged = image.split('@').next()?;
        let (_, tag) = tagged.rsplit('/').next()?.split_once(':')?;
        Self::read(tag)
    }

    /// From the gauge `sluice_module_version`: major times a million, minor times a thousand, patch.
    pub fn of_gauge(value: f64) -> Option<Self> {
        let is_one = value.fract() == 0.0 && (1.0..1e15).contains(&value);
        let value = if is_one { value as u64 } else { return None };
        Some(Self([
            value / 1_000_000,
            value / 1_000 % 1_000,
            value % 1_000,
        ]))
    }

    /// This sluice's.
    pub fn own() -> Self {
        Self::read(OWN).unwrap_or(Self([0; 3]))
    }

    /// Major and minor.
    pub const fn minor(self) -> [u64; 2] {
        let [major, minor, _] = self.0;
        [major, minor]
    }

    /// Whether another is more than one minor version away.
    pub const fn is_far_from(self, other: Self) -> bool {
        let ([major, minor], [others_major, others_minor]) = (self.minor(), other.minor());
        major != others_major || minor.abs_diff(others_minor) > 1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(formatter, "{major}.{minor}.{patch}")
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A controller against this sluice; `None`: it does not say its version.
pub fn controller(place: &str, own: Version, theirs: Option<Version>) -> Look {
    let mut look = Look::default();
    let accepted = format!("{}.{}.x, as this sluice", own.minor()[0], own.minor()[1]);
    match theirs {
        None => look.find(Finding::new(
            Code::ControllerVersionUnknown,
            place,
            "the controller that leads does not say its version in its Lease",
            accepted,
        )),
        Some(theirs) if theirs.minor() != own.minor() => {
            let newer = if theirs > own { "newer" } else { "older" };
            look.find(Finding::new(
                Code::ControllerOfOtherVersion,
                place,
                format!("the controller is {theirs}, {newer} than this sluice, {own}"),
                accepted,
            ));
        }
        Some(theirs) => look.praise(format!("the controller is {theirs}")),
    }
    look
}

/// The modules that a plugin's proxies run, each version with how many run it; `None`: modules that
/// do not say their version.
pub fn modules(plugin: &str, own: Version, running: &[(Option<Version>, usize)]) -> Look {
    let mut look = Look::default();
    let shown = |(version, proxies): &(Option<Version>, usize)| match version {
        Some(version) => format!("{version} in {}", count(*proxies, "proxy", "proxies")),
        None => {
            let proxies = count(*proxies, "proxy", "proxies");
            format!("one that does not say its version in {proxies}")
        }
    };
    let all: Vec<String> = running.iter().map(shown).collect();
    let accepted = format!("{}.{}.x, as this sluice", own.minor()[0], own.minor()[1]);
    if running.len() > 1 {
        look.find(Finding::new(
            Code::ModulesDiffer,
            plugin,
            named(&all),
            "one version in all proxies of a plugin",
        ));
    }
    let others = running
        .iter()
        .filter(|(version, _)| version.is_some_and(|version| version.minor() != own.minor()));
    let others: Vec<String> = others.map(shown).collect();
    if !others.is_empty() {
        look.find(Finding::new(
            Code::ModuleOfOtherVersion,
            plugin,
            named(&others),
            accepted.clone(),
        ));
    }
    let silent = running.iter().filter(|(version, _)| version.is_none());
    let silent: Vec<String> = silent.map(shown).collect();
    if !silent.is_empty() {
        look.find(Finding::new(
            Code::ModuleVersionUnknown,
            plugin,
            named(&silent),
            accepted,
        ));
    }
    if look.findings.is_empty() && !all.is_empty() {
        look.praise(format!("{plugin} runs {}", named(&all)));
    }
    look
}

/// istiod against what was tested, and against the kinds of our plugins.
pub fn istiod(place: &str, istiod: Version, extensions: &[String]) -> Look {
    let mut look = Look::default();
    let [major, minor] = TESTED_ISTIO;
    if istiod.minor() < FIRST_WITH_EXTENSIONS && !extensions.is_empty() {
        look.find(Finding::new(
            Code::IstioTooOld,
            place,
            format!("Istio {istiod}, beside {}", named(extensions)),
            "1.30 or newer, which knows TrafficExtensions",
        ));
    } else if istiod.minor() != TESTED_ISTIO {
        look.find(Finding::new(
            Code::IstioUntested,
            place,
            format!("Istio {istiod}"),
            format!("{major}.{minor}, which all tests run against"),
        ));
    } else {
        look.praise(format!("Istio {istiod}"));
    }
    look
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::read(text).unwrap()
    }

    fn codes(look: &Look) -> Vec<&'static str> {
        look.findings
            .iter()
            .map(|found| found.code.as_str())
            .collect()
    }

    #[test]
    fn versions_are_read_from_texts_images_and_gauges() {
        let texts = [
            ("1.31.1-distroless", Some("1.31.1")),
            ("v1.35.4", Some("1.35.4")),
            ("0.1.0", Some("0.1.0")),
            ("1.31", Some("1.31.0")),
            ("latest", None),
            ("", None),
            ("1", None),
        ];
        for (text, expected) in texts {
            let read = Version::read(text).map(|version| version.to_string());
            assert_eq!(read.as_deref(), expected, "{text:?}");
        }
        let images = [
            ("docker.io/istio/pilot:1.31.1", Some("1.31.1")),
            ("registry:5000/pilot:1.30.0@sha256:00", Some("1.30.0")),
            ("registry:5000/pilot", None),
            ("pilot@sha256:00", None),
        ];
        for (image, expected) in images {
            let read = Version::of_image(image).map(|version| version.to_string());
            assert_eq!(read.as_deref(), expected, "{image}");
        }
        assert_eq!(Version::of_gauge(1_002_003.0), Some(version("1.2.3")));
        assert_eq!(Version::of_gauge(1_000.0), Some(version("0.1.0")));
        for none in [0.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
            assert_eq!(Version::of_gauge(none), None, "{none}");
        }
    }

    #[test]
    fn a_controller_of_another_minor_version_is_named() {
        let own = version("0.2.3");
        let rows: [(&str, Option<&str>, &[&str]); 5] = [
            ("the same", Some("0.2.3"), &[]),
            ("another patch", Some("0.2.0"), &[]),
            ("older", Some("0.1.0"), &["controller-of-other-version"]),
            ("newer", Some("1.2.3"), &["controller-of-other-version"]),
            ("silent", None, &["controller-version-unknown"]),
        ];
        for (label, theirs, expected) in rows {
            let look = controller("Lease a/b", own, theirs.map(version));
            assert_eq!(codes(&look), expected, "{label}");
        }
        let look = controller("Lease a/b", own, Some(version("0.1.0")));
        assert_eq!(
            look.findings[0].found,
            "the controller is 0.1.0, older than this sluice, 0.2.3"
        );
    }

    #[test]
    fn modules_of_other_versions_and_of_several_are_named() {
        let own = version("0.2.0");
        let (same, older) = (Some(version("0.2.1")), Some(version("0.1.0")));
        let rows: [(&str, &[(Option<Version>, usize)], &[&str]); 5] = [
            ("none runs", &[], &[]),
            ("the same", &[(same, 6)], &[]),
            ("older", &[(older, 6)], &["module-of-other-version"]),
            ("silent", &[(None, 6)], &["module-version-unknown"]),
            (
                "both",
                &[(same, 5), (older, 1)],
                &["modules-differ", "module-of-other-version"],
            ),
        ];
        for (label, running, expected) in rows {
            assert_eq!(
                codes(&modules("WasmPlugin a/s", own, running)),
                expected,
                "{label}"
            );
        }
    }

    #[test]
    fn an_istio_that_was_not_tested_or_is_too_old_is_named() {
        let extension = ["TrafficExtension a/s".to_owned()];
        let rows: [(&str, &str, &[String], &[&str]); 4] = [
            ("tested", "1.31.4", &extension, &[]),
            ("newer", "1.32.0", &extension, &["istio-untested"]),
            ("older", "1.29.1", &[], &["istio-untested"]),
            ("too old", "1.29.1", &extension, &["istio-too-old"]),
        ];
        for (label, text, extensions, expected) in rows {
            let look = istiod("Deployment istio-system/istiod", version(text), extensions);
            assert_eq!(codes(&look), expected, "{label}");
        }
        assert!(version("1.31.0").is_far_from(version("1.29.0")));
        assert!(!version("1.31.0").is_far_from(version("1.30.9")));
        assert!(version("2.0.0").is_far_from(version("1.31.0")));
    }
}
