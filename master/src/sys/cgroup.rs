//! The CPU quota of the control groups this process is in, version 1 and 2. Pure parsing, and one function that reads.

use std::path::{Path, PathBuf};

/// The smallest quota, in cores, of this process's control group and its ancestors; `None` is no quota.
pub(super) fn quota() -> Option<f64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    hierarchies(&groups, &mounts)
        .iter()
        .filter_map(|place| smallest(place, &read))
        .min_by(f64::total_cmp)
}

/// The directory of this process's own control group of version 2, if there is one.
pub(crate) fn own_v2() -> Option<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    hierarchies(&groups, &mounts)
        .into_iter()
        .find(|place| place.version == Version::V2)
        .map(|place| place.group)
}

/// The quota in cores that `cpu.max` (version 2) states: `max 100000`, `150000 100000`.
#[must_use]
pub fn quota_v2(cpu_max: &str) -> Option<f64> {
    let (quota, period) = cpu_max.trim().split_once(' ')?;
    ratio(quota.parse().ok()?, period.parse().ok()?)
}

/// The quota in cores that `cpu.cfs_quota_us` and `cpu.cfs_period_us` (version 1) state; -1 is none.
#[must_use]
pub fn quota_v1(quota: &str, period: &str) -> Option<f64> {
    ratio(quota.trim().parse().ok()?, period.trim().parse().ok()?)
}

fn ratio(quota: i64, period: i64) -> Option<f64> {
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

#[derive(Debug, PartialEq)]
enum Version {
    V1,
    V2,
}

/// A control group's directory and where its hierarchy is mounted.
#[derive(Debug, PartialEq)]
struct Place {
    version: Version,
    mount: PathBuf,
    group: PathBuf,
}

/// Walks from the group up to the mount: an ancestor's quota binds too.
fn smallest(place: &Place, read: &dyn Fn(&Path) -> Option<String>) -> Option<f64> {
    place
        .group
        .ancestors()
        .take_while(|dir| dir.starts_with(&place.mount))
        .filter_map(|dir| match place.version {
            Version::V2 => quota_v2(&read(&dir.join("cpu.max"))?),
            Version::V1 => quota_v1(
                &read(&dir.join("cpu.cfs_quota_us"))?,
                &read(&dir.join("cpu.cfs_period_us"))?,
            ),
        })
        .min_by(f64::total_cmp)
}

fn hierarchies(groups: &str, mounts: &str) -> Vec<Place> {
    groups
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let version = if number == "0" && controllers.is_empty() {
                Version::V2
            } else if controllers.split(',').any(|name| name == "cpu") {
                Version::V1
            } else {
                return None;
            };
            locate(version, path, mounts)
        })
        .collect()
}

/// Finds the mount of a hierarchy. A container may see a part of it mounted: the mount's root is cut off the path.
fn locate(version: Version, path: &str, mounts: &str) -> Option<Place> {
    for line in mounts.lines() {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (Some(root), Some(mount)) = (left.next(), left.next()) else {
            continue;
        };
        let mut right = right.split(' ');
        let (kind, options) = (right.next(), right.nth(1).unwrap_or_default());
        let matches = match version {
            Version::V2 => kind == Some("cgroup2"),
            Version::V1 => kind == Some("cgroup") && options.split(',').any(|o| o == "cpu"),
        };
        if !matches {
            continue;
        }
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        return Some(Place {
            version,
            mount: mount.into(),
            group: Path::new(mount).join(below),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_of_both_versions() {
        assert_eq!(quota_v2("max 100000\n"), None);
        assert_eq!(quota_v2("150000 100000\n"), Some(1.5));
        assert_eq!(quota_v2(""), None);
        assert_eq!(quota_v2("x y"), None);
        assert_eq!(quota_v1("-1\n", "100000\n"), None);
        assert_eq!(quota_v1("200000\n", "100000\n"), Some(2.0));
        assert_eq!(quota_v1("200000\n", "0\n"), None);
    }

    #[test]
    fn the_tightest_ancestor_binds() {
        let places = hierarchies(
            "0::/user/app/one\n",
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
        );
        let read = |path: &Path| match path.to_str()? {
            "/sys/fs/cgroup/user/app/one/cpu.max" => Some("max 100000".into()),
            "/sys/fs/cgroup/user/app/cpu.max" => Some("300000 100000".into()),
            "/sys/fs/cgroup/user/cpu.max" => Some("400000 100000".into()),
            _ => None,
        };
        assert_eq!(smallest(&places[0], &read), Some(3.0));
    }

    #[test]
    fn version_1_in_a_container_sees_its_part_mounted() {
        let places = hierarchies(
            "4:cpu,cpuacct:/docker/abc/inner\n3:memory:/docker/abc\n0::/\n",
            "40 30 0:31 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
        );
        assert_eq!(
            places,
            [Place {
                version: Version::V1,
                mount: "/sys/fs/cgroup/cpu".into(),
                group: "/sys/fs/cgroup/cpu/inner".into(),
            }]
        );
        let read = |path: &Path| match path.to_str()? {
            "/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us" => Some("50000".into()),
            "/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us" => Some("100000".into()),
            _ => None,
        };
        assert_eq!(smallest(&places[0], &read), Some(0.5));
    }
}
