import MachineConfiguration
import Testing

@testable import MonitorAPI

/// Answers that Firecracker 1.12.1 gave to the same requests, in the same order.
@Suite struct RecordedAnswerTests {
    private func check(_ face: Face, _ table: [(String, String)]) {
        for (request, answer) in table {
            let wanted = answer.first?.isNumber == true ? answer : #"400 {"fault_message":"\#(answer)"}"#
            #expect(face.ask(request) == wanted, "\(request)")
        }
    }

    private let json = "An error occurred when deserializing the json body of a request: "

    @Test func `paths`() {
        check(
            Face(),
            [
                ("GET /", #"200 {"id":"a1","state":"Not started","vmm_version":"1.12.1","app_name":"Firecracker"}"#),
                ("GET /version/x", #"200 {"firecracker_version":"1.12.1"}"#),
                ("GET //version", #"200 {"firecracker_version":"1.12.1"}"#),
                ("GET /version?x=1", "Invalid request method and/or path: GET version?x=1."),
                ("GET /nope", "Invalid request method and/or path: GET nope."),
                ("GET /vm", "Invalid request method and/or path: GET vm."),
                ("GET /mmds/config", "200 {}"),
                ("GET /balloon/x", "Unrecognized GET request path `x`."),
                ("PUT /mmds/x {}", "Unrecognized PUT request path `x`."),
                ("PUT / {}", "Invalid request method and/or path: PUT ."),
                ("PATCH /boot-source {}", "Invalid request method and/or path: PATCH boot-source."),
                ("PUT /drives {}", "The ID cannot be empty."),
                ("PUT /drives/ {}", "The ID cannot be empty."),
                (
                    "PUT /drives/root-fs {}",
                    "API Resource IDs can only contain alphanumeric characters and underscores."
                ),
                ("PUT /snapshot {}", "Missing snapshot operation type."),
                ("PUT /snapshot/x {}", "Invalid request method and/or path: PUT /snapshot/x."),
            ])
    }

    @Test func `JSON that is none`() {
        check(
            Face(),
            [
                (#"PUT /actions {"action_type""#, json + "EOF while parsing an object at line 1 column 14."),
                (#"PUT /actions {"action_type":1}"#, json + "expected value at line 1 column 16."),
                (
                    #"PUT /actions {"action_type":"Foo"}"#,
                    json
                        + "unknown variant `Foo`, expected one of `FlushMetrics`, `InstanceStart`, `SendCtrlAltDel` at line 1 column 20."
                ),
                (#"PUT /actions {"action_type":"FlushMetrics"}x"#, json + "trailing characters at line 1 column 31."),
                (
                    #"PUT /actions "x""#,
                    json + #"invalid type: string \"x\", expected struct ActionBody at line 1 column 3."#
                ),
                (
                    #"PUT /machine-config {"vcpu_count":-1,"mem_size_mib":128}"#,
                    json + "invalid value: integer `-1`, expected u8 at line 1 column 16."
                ),
                (
                    #"PUT /machine-config {"vcpu_count":1.5,"mem_size_mib":128}"#,
                    json + "invalid type: floating point `1.5`, expected u8 at line 1 column 17."
                ),
                ("PUT /mmds   ", json + "EOF while parsing a value at line 1 column 2."),
            ])
    }

    @Test func `the processors and memory`() {
        let limits =
            "Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled."
        check(
            Face(),
            [
                (
                    "GET /machine-config",
                    #"200 {"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,"huge_pages":"None"}"#
                ),
                (#"PUT /machine-config {"vcpu_count":0,"mem_size_mib":128}"#, limits),
                (#"PUT /machine-config {"vcpu_count":33,"mem_size_mib":128}"#, limits),
                (#"PUT /machine-config {"vcpu_count":3,"mem_size_mib":128,"smt":true}"#, limits),
                (
                    #"PUT /machine-config {"vcpu_count":1,"mem_size_mib":0}"#,
                    "Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured page size."
                ),
                (#"PUT /machine-config {"vcpu_count":2,"mem_size_mib":128,"cpu_template":"None"}"#, "204!"),
                (#"PATCH /machine-config {"mem_size_mib":64,"smt":true}"#, "204"),
                (#"PATCH /machine-config {"vcpu_count":null}"#, "Empty PATCH request."),
                ("PATCH /machine-config {}", "Empty PATCH request."),
                (
                    "GET /machine-config",
                    #"200 {"vcpu_count":2,"mem_size_mib":64,"smt":true,"track_dirty_pages":false,"huge_pages":"None"}"#
                ),
            ])
    }

    @Test func `a template with a name is the machine's, until another comes`() {
        for second in [
            "", #"PUT /cpu-config {"kvm_capabilities":["56"]}"#, #"PATCH /machine-config {"cpu_template":"None"}"#,
        ] {
            let face = Face()
            face.control.takesTemplates = true
            #expect(face.ask(#"PUT /boot-source {"kernel_image_path":"/k"}"#) == "204")
            #expect(
                face.ask(#"PUT /machine-config {"vcpu_count":1,"mem_size_mib":128,"cpu_template":"T2A"}"#) == "204!")
            if !second.isEmpty {
                #expect(face.ask(second).hasPrefix("204"))
                #expect(!face.ask("GET /machine-config").contains("T2A"))
            }
            #expect(face.ask(#"PUT /actions {"action_type":"InstanceStart"}"#) == "204")
            let template = face.control.started?.processorTemplate
            #expect((template?.leaves.count == 11) == second.isEmpty)
            #expect((template?.capabilities == [56]) == second.hasPrefix("PUT"))
        }
    }

    @Test func `a drive of another process`() {
        let face = Face()
        let refused = "Drive config error: Unable to create the virtio block device: "
        let patch = "Drive config error: Unable to patch the block device: Device manager error: "
        let drive = #""drive_id":"a","is_root_device":true"#
        for other in [
            #""is_read_only":false"#, #""is_read_only":true"#, #""io_engine":"Sync""#, #""path_on_host":"/d""#,
            #""rate_limiter":{"ops":{"size":0,"refill_time":0}}"#,
        ] {
            let answer = face.fault("PUT /drives/a {\(drive),\"socket\":\"/s\",\(other)}")
            #expect(answer == refused + "Invalid block config.")
        }
        check(
            face,
            [
                (
                    #"PUT /drives/a {\#(drive),"socket":"/missing"}"#,
                    refused + "Vhost user backend error: No such file or directory (os error 2)"
                ),
                (#"PUT /drives/a {\#(drive),"socket":"/s","is_read_only":null,"io_engine":null}"#, "204"),
                (
                    #"PATCH /drives/a {"drive_id":"a"}"#,
                    "The requested operation is not supported before starting the microVM."
                ),
                (#"PUT /drives/a {\#(drive),"socket":"/read-only"}"#, "204"),
                (#"PUT /boot-source {"kernel_image_path":"/k","boot_args":"quiet"}"#, "204"),
                (#"PUT /actions {"action_type":"InstanceStart"}"#, "204"),
                (#"PATCH /drives/a {"drive_id":"a"}"#, "204"),
                (
                    #"PATCH /drives/a {"drive_id":"a","path_on_host":"/d"}"#,
                    patch + "Running method expected different backend. Please verify the request arguments."
                ),
                (
                    #"PATCH /drives/b {"drive_id":"b"}"#,
                    patch + "Failed to find the device on the bus. Please verify the request arguments."
                ),
            ])
        #expect(
            face.ask("GET /vm/config").contains(
                #""cache_type":"Unsafe","is_read_only":null,"path_on_host":null,"rate_limiter":null,"io_engine":null,"socket":"/read-only"}"#
            ))
        #expect(face.control.started?.drives.first?.socket == "/read-only")
        #expect(face.control.started?.bootSource.bootArguments == "quiet root=/dev/vda ro")
        #expect(face.control.calls == ["connect a /s", "connect a /read-only", "refresh a"])
        face.control.refusal = HostRefusal("the backend has closed the connection")
        #expect(
            face.fault(#"PATCH /drives/a {"drive_id":"a"}"#) == patch
                + "Vhost user backend error: Vhost error: the backend has closed the connection. Please verify the request arguments."
        )
    }

    @Test func `the processors' template`() {
        let face = Face()
        let start = #"PUT /actions {"action_type":"InstanceStart"}"#
        let json = "An error occurred when deserializing the json body of a request: "
        let number =
            "No supported number system prefix found in value. Make sure to prefix the number with '0x' for hexadecimal numbers or '0b' for binary numbers."
        check(
            face,
            [
                (Face.machine[0], "204"),
                (#"PUT /machine-config {"vcpu_count":1,"mem_size_mib":128,"cpu_template":"T2"}"#, "204!"),
                (
                    "GET /machine-config",
                    #"200 {"vcpu_count":1,"mem_size_mib":128,"smt":false,"cpu_template":"T2","track_dirty_pages":false,"huge_pages":"None"}"#
                ),
                (
                    start,
                    "Start microvm error: Failed to get CPU template: CPU vendor mismatched between actual CPU and CPU template."
                ),
                (#"PATCH /machine-config {"cpu_template":"None"}"#, "204!"),
                (
                    #"PUT /cpu-config {"cpuid_modifiers":[{"leaf":"1","subleaf":"0x0","flags":0,"modifiers":[]}]}"#,
                    json + number + " at line 1 column 31."
                ),
                (
                    #"PUT /cpu-config {"cpuid_modifiers":[{"leaf":"0x1","flags":0,"modifiers":[]}]}"#,
                    json + "missing field `subleaf` at line 1 column 59."
                ),
                (
                    #"PUT /cpu-config {"cpuid_modifiers":[{"leaf":"0x1","subleaf":"0x0","flags":0,"modifiers":[{"register":"foo","bitmap":"0b1"}]}]}"#,
                    json + "Invalid CPUID register. Must be one of [eax, ebx, ecx, edx] at line 1 column 90."
                ),
                (
                    #"PUT /cpu-config {"msr_modifiers":[{"addr":"0x10a","bitmap":"0b2"}]}"#,
                    json + "Failed to parse string as a bitmap at line 1 column 48."
                ),
                (#"PUT /cpu-config {"kvm_capabilities":["!171","56"],"cpuid_modifiers":[]}"#, "204"),
                (
                    #"PUT /cpu-config {"kvm_capabilities":["!171","56"],"cpuid_modifiers":[{"leaf":"0x80000001","subleaf":"0b1","flags":1,"modifiers":[{"register":"edx","bitmap":"0b1x_x0"}]}],"msr_modifiers":[{"addr":"0x10a","bitmap":"1x","x":1}]}"#,
                    "204"
                ),
                (start, "204"),
            ])
        var template = ProcessorTemplate()
        template.capabilities = [56]
        template.leaves = [
            .init(0x8000_0001, subleaf: 1, flags: 1, register: 3, bits: .init(mask: 0b1001, value: 0b1000))
        ]
        template.modelRegisters = [.init(0x10a, bits: .init(mask: 0b10, value: 0b10))]
        #expect(face.control.started?.processorTemplate == template)
    }

    @Test func `the devices before the start`() {
        check(
            Face(),
            [
                (
                    #"PUT /boot-source {"kernel_image_path":"/missing"}"#,
                    "Boot source error: The kernel file cannot be opened: No such file or directory (os error 2)"
                ),
                (
                    #"PUT /drives/a {"drive_id":"a","is_root_device":true}"#,
                    "Drive config error: Unable to create the virtio block device: Invalid block config."
                ),
                (
                    #"PUT /drives/a {"drive_id":"b","is_root_device":true,"path_on_host":"/d"}"#,
                    "The id from the path does not match the id from the body!"
                ),
                (#"PUT /drives/a {"drive_id":"a","is_root_device":true,"path_on_host":"/d"}"#, "204"),
                (
                    #"PUT /drives/b {"drive_id":"b","is_root_device":true,"path_on_host":"/d"}"#,
                    "Drive config error: A root block device already exists!"
                ),
                (
                    #"PUT /network-interfaces/eth0 {"iface_id":"eth0","host_dev_name":"t0","guest_mac":"06:00:AC:10:00:02"}"#,
                    "204"
                ),
                (
                    #"PUT /network-interfaces/eth1 {"iface_id":"eth1","host_dev_name":"t1","guest_mac":"06:00:AC:10:00:02"}"#,
                    "Network config error: The MAC address is already in use: 06:00:ac:10:00:02"
                ),
                (
                    #"PUT /network-interfaces/eth0 {"iface_id":"eth1","host_dev_name":"t1"}"#,
                    "The id from the path [eth0] does not match the id from the body [eth1]!"
                ),
                (#"PUT /vsock {"guest_cid":3,"uds_path":"/v","vsock_id":"v"}"#, "204!"),
                (
                    #"PUT /vsock {"guest_cid":3,"uds_path":"/missing"}"#,
                    "Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: No such file or directory (os error 2)"
                ),
                (
                    #"PUT /balloon {"amount_mib":1000,"deflate_on_oom":true}"#,
                    "Balloon config error: Amount of pages requested is too large."
                ),
                ("GET /balloon", "Balloon config error: No balloon device found."),
                (
                    #"PUT /mmds/config {"network_interfaces":[]}"#,
                    #"400 {"fault_message":"MMMDS config error: The list of network interface IDs that allow forwarding MMDS requests is empty."}!"#
                ),
                (
                    #"PUT /mmds/config {"network_interfaces":["eth0"],"ipv4_address":"1.1.1.1","version":"V2"}"#,
                    "MMMDS config error: The MMDS IPv4 address is not link local."
                ),
                (#"PUT /mmds/config {"network_interfaces":["eth0"]}"#, "204!"),
                (
                    #"PUT /actions {"action_type":"InstanceStart"}"#,
                    "Start microvm error: Cannot start microvm without kernel configuration."
                ),
                (
                    #"PUT /snapshot/load {"snapshot_path":"/s","mem_file_path":"/m"}"#,
                    #"400 {"fault_message":"Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources."}!"#
                ),
            ])
    }

    @Test func `the machine that runs`() {
        let face = Face()
        face.start()
        let drive = "Drive config error: Unable to patch the block device: Device manager error: "
        let again = " Please verify the request arguments."
        check(
            face,
            [
                ("GET /", #"200 {"id":"a1","state":"Running","vmm_version":"1.12.1","app_name":"Firecracker"}"#),
                (#"PATCH /drives/rootfs {"drive_id":"rootfs","path_on_host":"/e"}"#, "204"),
                (
                    #"PATCH /drives/rootfs {"drive_id":"rootfs"}"#,
                    drive + "Running method expected different backend." + again
                ),
                (
                    #"PATCH /drives/no {"drive_id":"no","path_on_host":"/e"}"#,
                    drive + "Failed to find the device on the bus." + again
                ),
                (
                    #"PATCH /drives/rootfs {"drive_id":"rootfs","rate_limiter":{"bandwidth":{"size":1000,"refill_time":100}}}"#,
                    "204"
                ),
                (#"PATCH /network-interfaces/eth0 {"iface_id":"eth0"}"#, "204"),
                (
                    #"PATCH /network-interfaces/no {"iface_id":"no"}"#,
                    "Network config error: Unable to update the net device: Device manager error: Failed to find the device on the bus."
                ),
                (
                    #"PATCH /balloon {"amount_mib":2000}"#,
                    "Balloon config error: Error creating the balloon device: Amount of pages requested cannot fit in `u32`."
                ),
                (#"PATCH /balloon {"amount_mib":20}"#, "204"),
                ("GET /balloon", #"200 {"amount_mib":20,"deflate_on_oom":true,"stats_polling_interval_s":1}"#),
                (
                    "GET /balloon/statistics",
                    #"200 {"target_pages":2560,"actual_pages":0,"target_mib":10,"actual_mib":0,"free_memory":4096}"#
                ),
                (
                    #"PATCH /balloon/statistics {"stats_polling_interval_s":0}"#,
                    "Balloon config error: Error creating the balloon device: Statistics cannot be enabled/disabled after activation."
                ),
                (#"PATCH /vm {"state":"Resumed"}"#, "204"),
                (#"PATCH /vm {"state":"Paused"}"#, "204"),
                (#"PATCH /vm {"state":"Paused"}"#, "204"),
                ("GET /", #"200 {"id":"a1","state":"Paused","vmm_version":"1.12.1","app_name":"Firecracker"}"#),
                (#"PATCH /vm {"state":"Resumed"}"#, "204"),
                (#"PUT /actions {"action_type":"SendCtrlAltDel"}"#, "204"),
                (
                    "GET /vm/config",
                    #"200 {"balloon":{"amount_mib":20,"deflate_on_oom":true,"stats_polling_interval_s":1},"drives":[{"drive_id":"rootfs","partuuid":null,"is_root_device":true,"cache_type":"Unsafe","is_read_only":false,"path_on_host":"/e","rate_limiter":{"bandwidth":{"size":1000,"one_time_burst":null,"refill_time":100},"ops":null},"io_engine":"Sync","socket":null}],"boot-source":{"kernel_image_path":"/k","initrd_path":null,"boot_args":"console=ttyS0"},"cpu-config":null,"logger":null,"machine-config":{"vcpu_count":2,"mem_size_mib":64,"smt":false,"track_dirty_pages":false,"huge_pages":"None"},"metrics":null,"mmds-config":{"version":"V2","network_interfaces":["eth0"],"ipv4_address":"169.254.169.254"},"network-interfaces":[{"iface_id":"eth0","host_dev_name":"tap0","guest_mac":"06:00:ac:10:00:02","rx_rate_limiter":null,"tx_rate_limiter":null}],"vsock":{"guest_cid":3,"uds_path":"/v"},"entropy":{"rate_limiter":null}}"#
                ),
            ])
        #expect(
            face.control.calls == [
                "vsock /v", "disk rootfs /e", "limits rootfs 1000", "limits eth0 0 0", "balloon 20", "pause", "resume",
                "keys",
            ])
        #expect(face.control.started?.bootSource.bootArguments == "console=ttyS0 root=/dev/vda rw")
        #expect(face.control.started?.virtualCPUCount == 2)
        #expect(face.control.started?.announcesKeyboard == true)
        face.control.refusal = HostRefusal("i8042 internal buffer full.")
        #expect(
            face.fault(#"PUT /actions {"action_type":"SendCtrlAltDel"}"#)
                == "Internal VMM error: I8042 error: i8042 internal buffer full.")
    }

    @Test func `metadata is kept, merged and bounded`() {
        check(
            Face(metadataLimitBytes: 40),
            [
                ("GET /mmds", "200 {}"),
                (#"PUT /mmds {"a":{"b":1,"c":"x"}}"#, "204"),
                (#"PATCH /mmds {"a":{"b":null},"d":[1,2.5,true,null]}"#, "204"),
                ("GET /mmds", #"200 {"a":{"c":"x"},"d":[1,2.5,true,null]}"#),
                (
                    #"PATCH /mmds {"e":"123456789012345678901234567890"}"#,
                    #"413 {"fault_message":"MMDS limit exceeded error: The MMDS patch request doesn't fit."}"#
                ),
                ("GET /mmds", #"200 {"a":{"c":"x"},"d":[1,2.5,true,null]}"#),
                ("PATCH /mmds [1]", "204"), ("GET /mmds", "200 [1]"),
            ])
    }
}
