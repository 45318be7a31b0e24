//! `worker` as a process on real servers, one topic a file. One binary for all of them: each would compile the clients
//! of three servers again.

mod adopted;
mod backends;
mod clients;
mod clocks;
mod cloud_events;
mod commands;
mod common;
mod database_tls;
mod doctor;
mod doors;
mod durability;
mod limits;
mod python;
mod run;
mod scaling;
mod scripts;
mod served;
mod tls;
mod traces;
mod ui;
mod validate;
