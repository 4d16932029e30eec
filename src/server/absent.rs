//! Directives of CoreDNS that seamark does not have, and what does their work.

/// A directive and what does its work here.
const ABSENT: &[(&str, &str)] = &[
    // Zones of a cloud: its own resolver answers for them, without credentials and without a copy.
    (
        "route53",
        "Amazon's resolver answers for Route 53's zones; write `forward ZONE 169.254.169.253` in its place (or the VPC's second \
         address)",
    ),
    ("azure", "Azure's resolver answers for its zones; write `forward ZONE 168.63.129.16` in its place"),
    (
        "clouddns",
        "Google's metadata server answers for Cloud DNS's private zones; write `forward ZONE 169.254.169.254` in its place",
    ),
    (
        "nomad",
        "let Nomad register its services with Consul, and write `forward ZONE` with the address of Consul's DNS (port 8600) in \
         its place",
    ),
];

/// What to write instead of a directive that is left out for good.
pub(super) fn instead_of(directive: &str) -> Option<&'static str> {
    ABSENT.iter().find(|(name, _)| *name == directive).map(|(_, instead)| *instead)
}
