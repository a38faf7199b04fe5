internal import Admin
internal import EventLoop
internal import Glibc
internal import Relay

let serveCommands = [
    CommandSpec(
        ["serve"], "runs a node", options: [OptionSpec("config", "FILE", "its configuration (baton config example)")],
        examples: ["baton serve --config /etc/baton/baton.json5"],
        details: """
            Logs to standard output. SIGTERM and SIGINT drain and stop (exit 0, after delivery.drainTimeout at the latest),
            SIGHUP reads the configuration again. Exit 78: the configuration is wrong; 1: it cannot start, or the disk failed.
            """,
        run: serve),
    CommandSpec(
        ["config", "check"], "says everything wrong with a configuration file", arguments: "FILE",
        options: [OptionSpec("json", nil, "errors[] and warnings[], each {path, line, text}")],
        examples: ["baton config check /etc/baton/baton.json5"],
        details: "Exit 0: it can be used (warnings included). Exit 1: it has errors.", run: check),
    CommandSpec(
        ["config", "example"], "prints a commented configuration with all that this version knows",
        examples: ["baton config example > baton.json5"]
    ) { arguments in
        _ = try arguments.plain(0...0, "no arguments")
        Output.write(Configuration.example)
        return 0
    },
]

/// `EX_CONFIG` of sysexits.h: systemd must not start again and again what only a person can mend.
private let configurationError: Int32 = 78

private func serve(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    guard let path = arguments.text("config") else { throw UsageError("--config FILE is missing") }
    let reading = Configuration.load(path: path)
    for warning in reading.warnings { Output.error("baton: \(path): warning: \(warning)") }
    guard let configuration = reading.configuration else {
        for error in reading.errors { Output.error("baton: \(path): \(error)") }
        return configurationError
    }
    let runner: NodeRunner
    var options = NodeRunner.Options()
    options.version = BatonVersion.current
    do {
        runner = try NodeRunner(configuration, options: options)
    } catch let error as TLSConfigurationError {
        throw CommandFailure("\(path): smtp.certificateFile: \(error)", code: configurationError)
    } catch let error as DataDirectoryError where error.isConfiguration {
        throw CommandFailure("\(error)", code: configurationError)
    } catch {
        throw CommandFailure("\(error)")
    }
    let admin: AdminServer
    let feedback: FeedbackServer
    do {
        let source = RelaySource(runner.handle)
        admin = try await AdminServer(configuration, source: source)
        feedback = try FeedbackServer(configuration, runner.handle, source: source)
    } catch {
        runner.kill()
        throw error
    }
    try await waitForTheEnd(path, runner, admin, feedback)
    // The admin API answers until here, so that balancers see the node drain; the process's end closes it.
    unlink(configuration.adminSocketPath)
    return 0
}

/// Reloads on SIGHUP; returns once a TERM or INT has drained the node.
private func waitForTheEnd(
    _ path: String, _ runner: NodeRunner, _ admin: AdminServer, _ feedback: FeedbackServer
) async throws {
    let loop = runner.loop
    let handle = runner.handle
    let (stream, continuation) = AsyncStream<Int32>.makeStream()
    let watcher = loop.spawn { loop in
        guard let signals = try? Signals(on: loop) else { return continuation.finish() }
        while !Task.isCancelled { continuation.yield(await signals.next()) }
    }
    defer { watcher.cancel() }
    for await signal in stream {
        guard signal == SIGHUP else {
            // What an upstream was told is taken must be written: it asks again elsewhere, or later.
            await feedback.stop()
            await runner.stop(within: handle.configuration.delivery.drainTimeout)
            return
        }
        await reload(path, handle, admin, feedback)
    }
}

/// A bad new configuration keeps the old one in force.
private func reload(_ path: String, _ handle: RelayHandle, _ admin: AdminServer, _ feedback: FeedbackServer) async {
    let reading = Configuration.load(path: path)
    guard let configuration = reading.configuration else {
        return handle.reloadRefused(reading.errors.map(\.description).joined(separator: "; "))
    }
    do {
        try admin.reload(configuration)
        try await feedback.reload(configuration)
        try await handle.reload(configuration)
    } catch {
        handle.reloadRefused("\(error)")
    }
}

private func check(_ arguments: Arguments) async throws -> Int32 {
    let path = try arguments.plain(1...1, "one configuration file")[0]
    let reading = Configuration.load(path: path)
    if arguments.has("json") {
        Output.write(ConfigurationText.json(reading))
    } else {
        for error in reading.errors { Output.line("\(path): \(error)") }
        for warning in reading.warnings { Output.line("\(path): warning: \(warning)") }
        if reading.configuration != nil {
            Output.line(
                "\(path): fine\(reading.warnings.isEmpty ? "" : ", with \(counted(reading.warnings.count, "warning"))")"
            )
        } else {
            Output.line("\(path): \(counted(reading.errors.count, "error"))")
        }
    }
    return reading.configuration == nil ? 1 : 0
}
