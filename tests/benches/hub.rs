//! `cargo bench -p ostler-tests --bench hub`: deliveries through the hub beside a relay that parses nothing.

use std::{cell::RefCell, process::ExitCode};

use ostler_tests::bench::{
    Contest, Samples,
    bus::{self, Publisher, Reader, Setup},
    relay, roles,
};

const ROUNDS: usize = 7;
const EVENTS: u64 = 1_000_000;

const CONTENDERS: [(&str, Publisher, Reader); 4] = [
    (
        "bare publisher, bare readers",
        Publisher::Bare,
        Reader::Bare,
    ),
    (
        "client `emit`, bare readers",
        Publisher::Client,
        Reader::Bare,
    ),
    ("client `emit`, client raw", Publisher::Client, Reader::Raw),
    (
        "client `emit`, client typed",
        Publisher::Client,
        Reader::Typed,
    ),
];

fn main() -> ExitCode {
    if let Some(code) = roles::play(&bus::ROLES) {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), String> {
    let names = ["raw relay"].into_iter().chain(CONTENDERS.map(|c| c.0));
    let cpu: Vec<RefCell<Samples>> = names
        .map(|name| {
            RefCell::new(Samples {
                name: name.into(),
                figures: vec![],
            })
        })
        .collect();
    let mut contest = Contest::new("1 publisher → 4 subscribers, 64 bytes", "M deliveries/s");
    contest = contest.with("raw relay", || {
        let figures = relay::run(relay::Setup::default())?;
        cpu[0]
            .borrow_mut()
            .figures
            .push(figures.cpu_nanos_per_delivery);
        Ok(figures.deliveries_per_second / 1e6)
    });
    for ((name, publisher, reader), cpu) in CONTENDERS.into_iter().zip(&cpu[1..]) {
        let setup = Setup {
            publisher,
            reader,
            subscribers: 4,
            events: EVENTS,
        };
        contest = contest.with(name, move || {
            let figures = bus::run(setup)?;
            cpu.borrow_mut()
                .figures
                .push(figures.cpu_nanos_per_delivery);
            Ok(figures.deliveries_per_second / 1e6)
        });
    }
    println!("{}", contest.run(ROUNDS)?);
    let cpu = cpu.into_iter().map(RefCell::into_inner).collect();
    let title = "Processor time of relay or hub for one delivery";
    println!("{}", ostler_tests::bench::Results::new(title, "ns", cpu));
    Ok(())
}
