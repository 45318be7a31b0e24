//! What the machine adds to Python's agent, in whole runs without any server: channels of specialists, structured
//! answers, tools that answer themselves, unreadable calls, requirements, budgets over a take-over, threads that another program began.

#[cfg(test)]
#[path = "run_features/channels.rs"]
mod channels;
#[cfg(test)]
#[path = "run_features/direct.rs"]
mod direct;
#[cfg(test)]
#[path = "run_features/endings.rs"]
mod endings;
#[cfg(test)]
#[path = "recorded_runs/machine.rs"]
#[expect(dead_code, reason = "every test takes its part of the helpers")]
mod machine;
#[cfg(test)]
#[path = "run_features/threads.rs"]
mod threads;
