import LinuxCalls
import MetadataService
import Testing
import WireFormats

@testable import MonitorAPI

@Suite struct FaceFilesTests {
    private func scratchFile() throws -> String {
        let path = "/tmp/swiftlet-face-\(currentThreadNumber())-\(Clock.monotonic.nanoseconds())"
        _ = try open(path, [.readWrite, .create])
        return path
    }

    private func content(_ path: String) throws -> String {
        let file = try open(path, .readOnly)
        var bytes: [UInt8] = []
        while try read(file.number, appendingTo: &bytes, maximumBytes: 4096) > 0 {}
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func `a line of the log has time, name, thread, level and origin`() throws {
        let path = try scratchFile()
        defer { try? removeFile(path) }
        let log = MonitorLog(identifier: "a1")
        log.set(output: try open(path, [.readWrite, .append]).release(), level: .info)
        log.write(.debug, "unseen")
        log.write(.info, "seen", thread: "main")
        log.set(showsLevel: true, showsOrigin: true)
        log.write(.error, "seen too", origin: "x")
        let lines = try content(path).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9} \[a1:main\] seen/) != nil)
        #expect(lines[1].hasSuffix(" [a1:fc_api:ERROR:x] seen too"))
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000000"), (951_782_400, "2000-02-29T00:00:00.000000000"),
        (4_107_542_399, "2100-02-28T23:59:59.000000000"), (4_107_542_400, "2100-03-01T00:00:00.000000000"),
        (1_735_689_599, "2024-12-31T23:59:59.000000000"),
    ])
    func `a time is written as people read it`(_ seconds: UInt64, _ text: String) {
        #expect(CivilTime.text(nanoseconds: seconds * 1_000_000_000) == text)
    }

    @Test func `each line of metrics is JSON and counts since the one before`() throws {
        let path = try scratchFile()
        defer { try? removeFile(path) }
        let face = Face()
        #expect(face.ask(#"PUT /metrics {"metrics_path":"\#(path)","foo":1}"#) == "204")
        #expect(
            face.fault(#"PUT /metrics {"metrics_path":"\#(path)"}"#).hasSuffix(
                "Reinitialization of metrics not allowed."))
        face.start()
        #expect(face.ask(#"PUT /actions {"action_type":"FlushMetrics"}"#) == "204")
        #expect(face.ask(#"PUT /actions {"action_type":"FlushMetrics"}"#) == "204")
        let lines = try content(path).split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
        #expect(lines.count == 2)
        #expect(lines[0]["utc_timestamp_ms"]?.integer != nil)
        #expect(lines[0]["put_api_requests"]?.integer("metrics_fails") == 1)
        #expect(lines[0]["put_api_requests"]?.integer("actions_count") == 2)
        #expect(lines[1]["put_api_requests"]?.integer("actions_count") == 1)
        #expect(lines[0]["block"]?.integer("read_bytes") == 7)
        #expect(lines[1]["block"]?.integer("read_bytes") == 0)
        // Each drive and interface has a group of its own, ahead of the sum.
        #expect(lines[0]["block_rootfs"]?.integer("read_bytes") == 7)
        #expect(lines[1]["net_eth0"]?.integer("rx_count") == 0)
        #expect(lines[0]["net_eth0"]?["tap_write_agg"]?.integer("sum_us") == 0)
        let names = (lines[0].members ?? []).map(\.name)
        #expect(names.firstIndex(of: "block_rootfs").map { names[$0 + 1] } == "block")
        for name in [
            "api_server", "i8042", "uart", "latencies_us", "vcpu", "balloon", "net", "vsock", "entropy", "mmds",
            "logger", "patch_api_requests",
        ] {
            #expect(lines[0][name] != nil, "\(name)")
        }
    }

    @Test func `the metrics say how long a snapshot took`() throws {
        let path = try scratchFile()
        defer { try? removeFile(path) }
        let face = Face()
        #expect(face.ask(#"PUT /metrics {"metrics_path":"\#(path)"}"#) == "204")
        face.start()
        face.control.delayMicroseconds = 1500
        #expect(face.ask(#"PATCH /vm {"state":"Paused"}"#) == "204")
        #expect(face.ask(#"PUT /snapshot/create {"snapshot_path":"/s","mem_file_path":"/m"}"#) == "204")
        #expect(face.ask(#"PUT /actions {"action_type":"FlushMetrics"}"#) == "204")
        let line = try JSONParser.parse(Array(try content(path).utf8.dropLast()))
        let latencies = try #require(line["latencies_us"])
        #expect(try #require(latencies.integer("full_create_snapshot")) >= 1500)
        #expect(try #require(latencies.integer("vmm_pause_vm")) >= 1500)
        #expect(latencies.integer("diff_create_snapshot") == 0)
    }

    @Test func `a file describes what requests would`() throws {
        let face = Face()
        let file = #"""
            {"boot-source": {"kernel_image_path": "/k"}, "machine-config": {"vcpu_count": 2, "mem_size_mib": 64},
             "cpu-config": "/template",
             "drives": [{"drive_id": "a", "is_root_device": true, "is_read_only": true, "path_on_host": "/d",
                         "rate_limiter": {"ops": {"size": 5, "refill_time": 100}}}],
             "network-interfaces": [{"iface_id": "e", "host_dev_name": "t"}], "entropy": {},
             "mmds-config": {"network_interfaces": ["e"], "version": "V2"}, "balloon": null}
            """#
        try face.service.configure(Array(file.utf8))
        try face.service.startFromFile()
        let machine = try #require(face.control.started)
        #expect(machine.memoryMebibytes == 64 && machine.hasEntropyDevice && machine.balloon == nil)
        #expect(machine.processorTemplate?.capabilities == [1])
        #expect(machine.drives[0].limits?.operations?.size == 5)
        #expect(machine.bootSource.bootArguments.hasSuffix(" root=/dev/vda ro"))
        #expect(face.service.metadata.manner.isTokenRequired)
    }

    @Test(arguments: [
        ("{", "Invalid JSON: EOF while parsing a value at line 1 column 1"),
        ("{}", "Invalid JSON: missing field `boot-source`"),
        (
            #"{"boot-source":{"kernel_image_path":"/missing"}}"#,
            "Boot source error: The kernel file cannot be opened: No such file or directory (os error 2)"
        ),
        (
            #"{"boot-source":{"kernel_image_path":"/k"},"x":1}"#,
            "Invalid JSON: this monitor does not know the section `x`"
        ),
        (
            #"{"boot-source":{"kernel_image_path":"/k"},"cpu-config":"/missing"}"#,
            #"cpu-config "/missing": No such file or directory (os error 2)"#
        ),
        (#"{"boot-source":{"kernel_image_path":"/k"},"drives":{}}"#, "Invalid JSON: `drives` is not a list"),
    ])
    func `a file that describes no machine is refused with the reason`(_ text: String, _ message: String) {
        #expect {
            try Face().service.configure(Array(text.utf8))
        } throws: { "\($0)" == message }
    }

    @Test func `the command line is the original's`() throws {
        let invocation = try FirecrackerInvocation([
            "--id", "vm-1", "--api-sock", "/s", "--config-file", "/c", "--boot-timer", "--show-level", "--level",
            "warn",
            "--mmds-size-limit", "100", "--http-api-max-payload-size", "200", "--start-time-us", "5", "--no-seccomp",
            "--",
            "--unseen",
        ])
        #expect(invocation.identifier == "vm-1" && invocation.socketPath == "/s" && invocation.hasBootTimer)
        #expect(invocation.level == .warning && invocation.metadataLimitBytes == 100)
        #expect(invocation.maximumBodyBytes == 200 && invocation.startMicroseconds == 5)
        #expect(try FirecrackerInvocation(["--describe-snapshot", "/s"]).errand == .describeSnapshot("/s"))
        for (arguments, status): (ArraySlice<String>, Int32) in [
            (["--foo"], 153), (["foo"], 153), (["--id"], 153), (["--id", "a b"], 1), (["--no-api"], 153),
            (["--api-sock", "a", "--api-sock", "b"], 153), (["--level", "x"], 152), (["--seccomp-filter", "f"], 153),
            (["--mmds-size-limit", "x"], 153),
        ] {
            #expect { try FirecrackerInvocation(arguments) } throws: { ($0 as? InvocationFault)?.exitStatus == status }
        }
    }
}
