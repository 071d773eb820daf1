//! HAProxy as the load balancer, with the rendered health check, waits and algorithm.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::sys::signal::Signal;

use super::{
    ports::Ports,
    rendered::{Rendered, Speed},
};
use crate::{
    launch::{self, Identity},
    process::Process,
    servers::postgres::tail,
    signals::Signals,
};

/// Tasks that one rehearsal can register; no place is used twice.
const PLACES: u32 = 1000;
const PATIENCE: Duration = Duration::from_secs(10);

/// The header in which an answer names the task that gave it.
pub(super) const TARGET: &str = "x-target";

/// A running HAProxy. It stops when dropped.
pub(super) struct Balancer {
    pub(super) address: SocketAddr,
    control: SocketAddr,
    _process: Process,
}

/// What the load balancer thinks of a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TargetHealth {
    Healthy,
    /// Or not yet healthy.
    Unhealthy,
}

impl Balancer {
    pub(super) fn start(
        program: &Path,
        folder: &Path,
        ports: &mut Ports,
        rendered: &Rendered,
        speed: Speed,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.next()?));
        let control = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.next()?));
        let settings = folder.join("haproxy.cfg");
        fs::write(&settings, configuration(address, control, rendered, speed))?;
        let path = folder.join("haproxy.log");
        let log = File::create(&path)?;
        let mut command = launch::command(program, Identity::Own, Signal::SIGKILL);
        command
            .args(["-db", "-f"])
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut process = Process::spawn("HAProxy", command, Signal::SIGKILL)?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(control).is_err() {
            anyhow::ensure!(
                process.ended()?.is_none() && Instant::now() < deadline,
                "HAProxy does not start. The end of its log:\n{}",
                tail(&path)
            );
            signals.wait(Duration::from_millis(20))?;
        }
        Ok(Self {
            address,
            control,
            _process: process,
        })
    }

    /// Registers a task. It is sent no request before its checks succeed: HAProxy would trust a new
    /// server at once, so all is said in one breath.
    pub(super) fn register(&self, task: u32, address: SocketAddr) -> anyhow::Result<()> {
        anyhow::ensure!(task < PLACES, "more than {PLACES} tasks in one rehearsal");
        let (server, ip, port) = (server(task), address.ip(), address.port());
        self.tell(&format!("set server {server} addr {ip} port {port}"))?;
        self.tell(&format!(
            "enable health {server}; set server {server} state ready; set server {server} health down"
        ))
    }

    /// No new requests; those in flight go on.
    pub(super) fn drain(&self, task: u32) -> anyhow::Result<()> {
        self.tell(&format!("set server {} state drain", server(task)))
    }

    /// Cuts off what is still in flight.
    pub(super) fn forget(&self, task: u32) -> anyhow::Result<()> {
        let server = server(task);
        self.tell(&format!(
            "set server {server} state maint; shutdown sessions server {server}"
        ))
    }

    pub(super) fn health(&self, task: u32) -> anyhow::Result<TargetHealth> {
        // Servers have the numbers of their names.
        let table = self.ask(&format!("show stat api 4 {task}"))?;
        let name = name(task);
        let status = table.lines().find_map(|line| {
            let mut fields = line.split(',');
            (fields.nth(1)? == name).then_some(())?;
            fields.nth(15)
        });
        // `UP 1/3` is on its way down and still trusted, as with an ALB.
        if status.is_some_and(|status| status.starts_with("UP")) {
            Ok(TargetHealth::Healthy)
        } else {
            Ok(TargetHealth::Unhealthy)
        }
    }

    fn tell(&self, command: &str) -> anyhow::Result<()> {
        let answer = self.ask(command)?;
        let complaint = answer.lines().find(|line| {
            // It confirms a change of address.
            !line.trim().is_empty()
                && !line.contains("changed from")
                && !line.starts_with("no need")
        });
        match complaint {
            Some(complaint) => anyhow::bail!("HAProxy, told to {command}: {complaint}"),
            None => Ok(()),
        }
    }

    fn ask(&self, command: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.control, PATIENCE)
            .context("HAProxy does not answer")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// As answers name the task.
pub(super) fn name(task: u32) -> String {
    format!("task-{task}")
}

fn server(task: u32) -> String {
    format!("api/{}", name(task))
}

fn configuration(
    address: SocketAddr,
    control: SocketAddr,
    rendered: &Rendered,
    speed: Speed,
) -> String {
    let group = &rendered.target_group;
    let balance = match group.algorithm.as_str() {
        "least_outstanding_requests" => "leastconn",
        _ => "roundrobin",
    };
    let idle = speed.wait(rendered.idle_timeout).as_millis();
    let interval = speed.wait(group.interval).as_millis();
    let timeout = speed.patience(group.timeout).as_millis();
    format!(
        "global
  stats socket ipv4@{control} level admin
  log stdout format raw local0 err
  nbthread 1
defaults
  mode http
  log global
  timeout connect 5s
  timeout client {idle}ms
  timeout server {idle}ms
  timeout http-keep-alive {idle}ms
  timeout check {timeout}ms
  # An ALB does not send a request to a second target either.
  retries 0
  option forwardfor
frontend public
  bind {address}
  http-after-response set-header {TARGET} %s
  default_backend api
backend api
  balance {balance}
  option httpchk GET {path}
  http-check expect status 200
  default-server check inter {interval}ms rise {rise} fall {fall}
  server-template task- 1-{PLACES} 127.0.0.1:1 disabled
",
        path = group.path,
        rise = group.healthy,
        fall = group.unhealthy,
    )
}
