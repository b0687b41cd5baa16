import Foundation
import MachineConfiguration
import Testing

@Suite struct ParsingTests {
    private func parse(_ text: String) throws(ConfigurationError) -> VirtualMachineConfiguration {
        try VirtualMachineConfiguration.parse(Array(text.utf8))
    }

    private func message(_ text: String) -> String? {
        do throws(ConfigurationError) {
            _ = try parse(text)
            return nil
        } catch {
            return error.description
        }
    }

    private func document(_ rest: String = "", processors: String = "1", memory: String = "128") -> String {
        """
        {"boot-source": {"kernel_image_path": "/k"},
         "machine-config": {"vcpu_count": \(processors), "mem_size_mib": \(memory)}\(rest)}
        """
    }

    @Test func `a configuration in Firecracker's shape is understood`() throws {
        let configuration = try parse(
            """
            {"boot-source": {"kernel_image_path": "/k", "boot_args": "quiet", "initrd_path": "/i"},
             "machine-config": {"vcpu_count": 2, "mem_size_mib": 256, "smt": false, "track_dirty_pages": false},
             "drives": [{"drive_id": "root", "path_on_host": "/d", "is_root_device": true, "is_read_only": true,
                         "cache_type": "Writeback", "io_engine": "Async", "partuuid": null}],
             "network-interfaces": [{"iface_id": "eth0", "host_dev_name": "tap0", "guest_mac": "06:00:AC:10:00:02",
                                     "mtu": 1400}],
             "vsock": {"guest_cid": 3, "uds_path": "/run/v"},
             "shared-folders": [{"tag": "f", "path_on_host": "/f", "is_read_only": true},
                                {"tag": "g", "path_on_host": "/g", "owner_uid": 1000, "owner_gid": 100}],
             "balloon": {"amount_mib": 16, "deflate_on_oom": true, "stats_polling_interval_s": 1},
             "entropy": {}}
            """)
        #expect(configuration.bootSource.initrdPaths == ["/i"])
        #expect(configuration.virtualCPUCount == 2)
        #expect(configuration.drives[0].isRootDevice && configuration.drives[0].isReadOnly)
        #expect(configuration.drives[0].cacheType == .writeback && configuration.drives[0].ioEngine == .asynchronous)
        #expect(configuration.networkInterfaces[0].guestMAC == [6, 0, 0xac, 0x10, 0, 2])
        #expect(configuration.vsock?.guestCID == 3)
        #expect(configuration.sharedFolders.map(\.isReadOnly) == [true, false])
        #expect(configuration.sharedFolders.map(\.owner) == [nil, .init(user: 1000, group: 100)])
        #expect(configuration.balloon?.amountMebibytes == 16)
        #expect(configuration.hasEntropyDevice)
    }

    /// Each section with a field that nobody knows: the refusal lists those that are known.
    @Test(arguments: [
        #"{"x": 1}"#, #"{"boot-source": {"x": 1}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 64}}"#,
        #"{"boot-source": {"kernel_image_path": "/k"}, "machine-config": {"x": 1}}"#, #""drives": [{"x": 1}]"#,
        #""network-interfaces": [{"x": 1}]"#, #""shared-folders": [{"x": 1}]"#, #""vsock": {"x": 1}"#,
        #""balloon": {"x": 1}"#, #""memory-hotplug": {"x": 1}"#, #""pmem": [{"x": 1}]"#, #""entropy": {"x": 1}"#,
        #""console": {"x": 1}"#, #""lifeline": {"x": 1}"#, #""control": {"x": 1}"#, #""restore": {"x": 1}"#,
        #""hot-plug": {"x": 1}"#,
    ])
    func `the page on the configuration names every field`(_ text: String) throws {
        let page = URL(filePath: #filePath).appending(path: "../../../../Documentation/monitor-configuration.md")
        let description = try String(contentsOf: page.standardized, encoding: .utf8)
        let refusal = try #require(message(text.hasPrefix("{") ? text : document(", " + text)))
        let known = try #require(refusal.range(of: "known here: ")).upperBound
        for field in refusal[known...].split(separator: ", ") {
            #expect(description.contains("`\(field)`"), "\(field)")
        }
    }

    @Test(arguments: ["0", "33", "-1", "1.5", "\"2\""])
    func `a processor count out of range says the range`(_ count: String) {
        #expect(
            message(document(processors: count))
                == "machine-config.vcpu_count: found \(count); wanted a whole number from 1 to 32")
    }

    @Test func `too little memory says the range`() {
        #expect(
            message(document(memory: "8"))
                == "machine-config.mem_size_mib: found 8; wanted a whole number from 16 to 524288")
    }

    @Test func `an unknown field is refused with the known ones`() {
        #expect(
            message(document(#", "vsock": {"guest_cid": 3, "uds_path": "/v", "cid": 4}"#))
                == "vsock.cid: unknown field; known here: guest_cid, uds_path, vsock_id")
    }

    @Test func `what is missing is named`() {
        #expect(
            message("{}") == "boot-source: missing; wanted an object with kernel_image_path")
        #expect(
            message(document(#", "drives": [{"drive_id": "a"}]"#))
                == "drives[0].path_on_host: missing; wanted the path of a file or block device, or segments")
    }

    @Test func `a drive of segments is understood`() throws {
        let drive = #"{"drive_id": "a", "segments": ["/a", "/b"], "is_read_only": true}"#
        let machine = try parse(document(", \"drives\": [\(drive)]"))
        #expect(machine.drives[0].segments == ["/a", "/b"] && machine.drives[0].pathOnHost.isEmpty)
    }

    @Test(arguments: [
        (
            #""segments": ["/a"]"#,
            "drives[0].is_read_only: found nothing; wanted true: a drive of segments cannot be written"
        ),
        (
            #""segments": ["/a"], "is_read_only": true, "path_on_host": "/p""#,
            "drives[0].path_on_host: found \"/p\"; wanted no such field: the drive has segments"
        ),
        (
            #""segments": [], "is_read_only": true"#,
            "drives[0].segments: found 0 paths; wanted 1 to 256 paths of files"
        ),
        (
            #""segments": [\#(repeatElement("\"/a\"", count: 257).joined(separator: ","))]"#,
            "drives[0].segments: found 257 paths; wanted 1 to 256 paths of files"
        ),
        (
            #""segments": ["/a", 5], "is_read_only": true"#,
            "drives[0].segments[1]: found 5; wanted the path of a file or block device"
        ),
        (
            #""segments": ["/a", ""], "is_read_only": true"#,
            "drives[0].segments[1]: found \"\"; wanted the path of a file or block device"
        ),
    ])
    func `segments that will not do are refused with the reason`(_ fields: String, _ refusal: String) {
        #expect(message(document(", \"drives\": [{\"drive_id\": \"a\", \(fields)}]")) == refusal)
    }

    @Test func `huge pages are taken whole`() throws {
        func parse(_ mebibytes: Int, _ pages: String) throws -> Bool {
            let text =
                #"{"boot-source": {"kernel_image_path": "/k"}, "machine-config": {"vcpu_count": 1, "#
                + #""mem_size_mib": \#(mebibytes), "huge_pages": "\#(pages)"}}"#
            return try VirtualMachineConfiguration.parse(Array(text.utf8)).hasHugePages
        }
        #expect(try parse(64, "2M"))
        #expect(try !parse(63, "None"))
        #expect(throws: ConfigurationError.self) { try parse(63, "2M") }
        #expect(throws: ConfigurationError.self) { try parse(64, "1G") }
    }

    @Test func `a drive of another process has a socket, and nothing that its backend decides`() throws {
        let text = document(#", "drives": [{"drive_id": "a", "socket": "/s", "cache_type": "Writeback"}]"#)
        let drive = try VirtualMachineConfiguration.parse(Array(text.utf8)).drives[0]
        #expect(drive.socket == "/s" && drive.pathOnHost == "" && drive.cacheType == .writeback)
        for (name, value) in [
            ("path_on_host", #""/a""#), ("segments", #"["/a"]"#), ("is_read_only", "false"), ("io_engine", #""Sync""#),
            ("rate_limiter", "{}"),
        ] {
            let text = document(#", "drives": [{"drive_id": "a", "socket": "/s", "\#(name)": \#(value)}]"#)
            #expect(message(text)?.hasPrefix("drives[0].\(name): ") == true)
        }
        for other in [#""pmem": [{"id": "p", "path_on_host": "/p"}]"#, #""memory-hotplug": {"total_size_mib": 128}"#] {
            let text = document(#", "drives": [{"drive_id": "a", "socket": "/s"}], "# + other)
            #expect(message(text)?.contains("cannot be shared with a drive's backend") == true)
        }
        #expect(
            message(document(#", "hot-plug": {"slots": 1, "drives": [{"slot": 0, "drive_id": "a", "socket": "/s"}]}"#))?
                .hasPrefix("hot-plug.drives[0].socket: ") == true)
    }

    @Test func `limits are read, and what is none of theirs is refused`() throws {
        let limiter = #"{"bandwidth": {"size": 1000, "one_time_burst": 50, "refill_time": 100}, "ops": null}"#
        let machine = try VirtualMachineConfiguration.parse(
            Array(
                document(
                    #", "drives": [{"drive_id": "a", "path_on_host": "/a", "rate_limiter": \#(limiter)}], "#
                        + #""network-interfaces": [{"iface_id": "e", "host_dev_name": "t", "tx_rate_limiter": \#(limiter)}]"#
                ).utf8))
        let limits = RateLimits(bytes: .init(size: 1000, oneTimeBurst: 50, refillMilliseconds: 100))
        #expect(machine.drives[0].limits == limits)
        #expect(machine.networkInterfaces[0].transmitLimits == limits)
        #expect(machine.networkInterfaces[0].receiveLimits == nil)
        #expect(
            message(document(#", "entropy": {"rate_limiter": {"ops": {"size": 1}}}"#))?
                .hasPrefix("entropy.rate_limiter.ops.refill_time: ") == true)
        #expect(
            message(document(#", "entropy": {"rate_limiter": {"x": 1}}"#))?
                .hasPrefix("entropy.rate_limiter.x: ") == true)
    }

    @Test func `two drives of one name are refused`() {
        let drive = #"{"drive_id": "a", "path_on_host": "/a"}"#
        #expect(
            message(document(", \"drives\": [\(drive), \(drive)]"))
                == "drives[1].drive_id: found \"a\" a second time; wanted a name of its own for each drive")
    }

    @Test func `more devices than interrupts are refused`() {
        let drives = (0..<20).map { "{\"drive_id\": \"d\($0)\", \"path_on_host\": \"/d\"}" }.joined(separator: ",")
        #expect(message(document(", \"drives\": [\(drives)]"))?.contains("found 20 devices") == true)
    }

    @Test(arguments: [
        "", "06:00:ac:10:00", "07:00:ac:10:00:02", "06-00-ac-10-00-02", "06:00:ac:10:00:0g", "+6:00:ac:10:00:02",
    ])
    func `an address that is none is refused`(_ address: String) {
        let interface = "{\"iface_id\": \"a\", \"host_dev_name\": \"tap0\", \"guest_mac\": \"\(address)\"}"
        #expect(message(document(", \"network-interfaces\": [\(interface)]"))?.contains("guest_mac") == true)
    }

    @Test(arguments: [
        "", "10.0.0.1", "10.0.0.1/33", "10.0.0/8", "10.0.0.256/8", "10.0.0.+1/8", "10.0.0.1/", "a/8", "1.2.3.4.5/8",
    ])
    func `a host's address that is none is refused`(_ address: String) {
        let interface = "{\"iface_id\": \"a\", \"host_dev_name\": \"tap0\", \"host_address\": \"\(address)\"}"
        #expect(message(document(", \"network-interfaces\": [\(interface)]"))?.contains("host_address") == true)
    }

    @Test func `a host's address is read`() throws {
        let interface = #"{"iface_id": "a", "host_dev_name": "tap0", "host_address": "10.191.0.5/30"}"#
        let machine = try VirtualMachineConfiguration.parse(
            Array(document(", \"network-interfaces\": [\(interface)]").utf8))
        #expect(machine.networkInterfaces.first?.hostAddress == .init([10, 191, 0, 5], prefixLength: 30))
    }

    @Test func `control and restoring name their folders and what lies in them`() throws {
        let machine = try parse(
            document(
                #", "control": {"socket_path": "/run/c", "folder": "/f"}, "restore": {"folder": "/s", "state": "a", "memory": "b"}"#
            ))
        #expect(machine.control == .init(socketPath: "/run/c", folder: "/f"))
        #expect(machine.restore == .init(folder: "/s", state: "a", memory: "b", resumes: true))
        #expect(message(document(#", "control": {"socket_path": "/run/c"}"#))?.contains("control.folder") == true)
        func checked(_ more: String) -> String {
            document(#", "restore": {"folder": "/s", "state": "a", "memory": "b", \#(more)}"#)
        }
        let root = String(repeating: "0aB9", count: 16)
        let tree = try parse(checked(#""tree": "t", "root": "\#(root)""#)).restore?.tree
        #expect(tree?.path == "t" && tree?.root.prefix(3) == [0x0a, 0xb9, 0x0a] && tree?.root.count == 32)
        #expect(message(checked(#""tree": "t""#))?.contains("restore.root") == true)
        #expect(message(checked(#""root": "\#(root)""#))?.contains("restore.tree") == true)
        #expect(message(checked(#""tree": "t", "root": "\#(root)a""#))?.contains("restore.root") == true)
        #expect(message(document(#", "restore": {"folder": "/s", "state": "a"}"#))?.contains("restore.memory") == true)
        let path = "/" + String(repeating: "a", count: 107)
        #expect(
            message(document(", \"control\": {\"socket_path\": \"\(path)\", \"folder\": \"/f\"}"))?.contains(
                "107 bytes") == true)
    }

    @Test func `no truncation traps`() {
        let bytes = Array(document(#", "vsock": {"guest_cid": 3, "uds_path": "/v"}"#).utf8)
        for length in 0..<bytes.count {
            #expect(throws: ConfigurationError.self) { try VirtualMachineConfiguration.parse(Array(bytes[..<length])) }
        }
    }
}
