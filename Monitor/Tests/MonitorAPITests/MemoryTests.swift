import Testing

@testable import MonitorAPI

/// Memory that is plugged while the machine runs, by the API.
@Suite struct MemoryTests {
    @Test func `sizes are looked at before the start`() {
        let face = Face()
        #expect(face.fault("GET /hotplug/memory").contains("no memory was configured"))
        for (fields, words) in [
            (#""total_size_mib":1000"#, "total_size_mib: found 1000; wanted a multiple of slot_size_mib"),
            (#""total_size_mib":64"#, "total_size_mib"), (#""total_size_mib":9223372036854775807"#, "total_size_mib"),
            (#""total_size_mib":128,"slot_size_mib":64"#, "slot_size_mib"),
            (#""total_size_mib":1024,"slot_size_mib":130,"block_size_mib":4"#, "slot_size_mib"),
            (#""total_size_mib":1024,"block_size_mib":1"#, "block_size_mib"),
            (#""total_size_mib":1024,"block_size_mib":3"#, "block_size_mib: found 3; wanted a power of two"),
        ] {
            let message = face.fault("PUT /hotplug/memory {\(fields)}")
            #expect(message.hasPrefix("Memory hotplug config error: memory-hotplug.") && message.contains(words))
        }
        #expect(face.ask(#"PUT /hotplug/memory {"total_size_mib":1024,"slot_size_mib":256}"#) == "204")
        #expect(
            face.ask("GET /vm/config").contains(
                #""memory-hotplug":{"total_size_mib":1024,"block_size_mib":2,"slot_size_mib":256}"#))
    }

    @Test func `the machine has it, and is asked for more and less`() {
        let face = Face()
        #expect(face.ask(#"PUT /hotplug/memory {"total_size_mib":512,"block_size_mib":4}"#) == "204")
        face.start()
        #expect(
            face.control.started?.pluggableMemory
                == .init(totalMebibytes: 512, slotMebibytes: 128, blockMebibytes: 4))
        #expect(face.ask(#"PATCH /hotplug/memory {"requested_size_mib":256}"#) == "204")
        #expect(face.control.calls.last == "memory 256")
        #expect(
            face.ask("GET /hotplug/memory")
                == #"200 {"total_size_mib":512,"block_size_mib":4,"slot_size_mib":128,"plugged_size_mib":128,"requested_size_mib":256}"#
        )
    }

    @Test func `a machine without any is given none`() {
        let face = Face()
        face.start()
        #expect(face.fault(#"PATCH /hotplug/memory {"requested_size_mib":256}"#).contains("no memory was configured"))
        #expect(!face.control.calls.contains { $0.hasPrefix("memory") })
        #expect(face.fault("GET /hotplug/x").hasPrefix("Invalid request method and/or path"))
    }

    @Test func `a file that is memory is looked at, kept, and named to the kernel`() {
        let face = Face()
        #expect(
            face.fault(#"PUT /pmem/p {"id":"p","path_on_host":"/missing"}"#)
                == "Pmem config error: Unable to create the virtio-pmem device: No such file or directory (os error 2)")
        #expect(face.fault(#"PUT /pmem/p {"id":"q","path_on_host":"/p"}"#).contains("does not match"))
        #expect(face.ask(#"PUT /pmem/o {"id":"o","path_on_host":"/o"}"#) == "204")
        #expect(face.ask(#"PUT /pmem/p {"id":"p","path_on_host":"/p","root_device":true,"read_only":true}"#) == "204")
        for other in [
            "/pmem/q {\"id\":\"q\",\"root_device\":true,", "/drives/d {\"drive_id\":\"d\",\"is_root_device\":true,",
        ] {
            #expect(face.fault("PUT \(other)\"path_on_host\":\"/q\"}").contains("already exists"))
        }
        #expect(
            face.ask("GET /vm/config").hasSuffix(
                #","pmem":[{"id":"o","path_on_host":"/o","root_device":false,"read_only":false,"rate_limiter":null},{"id":"p","path_on_host":"/p","root_device":true,"read_only":true,"rate_limiter":null}]}"#
            ))
        #expect(face.ask(#"PUT /boot-source {"kernel_image_path":"/k","boot_args":"quiet"}"#) == "204")
        #expect(face.ask(#"PUT /actions {"action_type":"InstanceStart"}"#) == "204")
        #expect(face.control.started?.persistentMemories.map(\.isReadOnly) == [false, true])
        #expect(face.control.started?.bootSource.bootArguments == "quiet root=/dev/pmem1 ro")
        #expect(face.fault(#"PATCH /pmem/x {"id":"x"}"#).contains("Failed to find"))
        #expect(face.ask(#"PATCH /pmem/p {"id":"p","rate_limiter":{"ops":{"size":5,"refill_time":1}}}"#) == "204")
        #expect(face.control.calls == ["limits p 5"])
        #expect(face.ask("GET /vm/config").contains(#""ops":{"size":5,"one_time_burst":null,"refill_time":1}"#))
    }

    @Test func `hints are asked for and no more`() {
        let face = Face()
        face.start()
        #expect(face.fault("PATCH /balloon/hinting/start").contains("hinting when not enabled"))
        #expect(face.fault("GET /balloon/hinting/status").contains("hinting when not enabled"))
        let other = Face()
        #expect(
            other.ask(#"PUT /balloon {"amount_mib":0,"deflate_on_oom":true,"free_page_hinting":true}"#) == "204")
        #expect(other.ask(#"PUT /boot-source {"kernel_image_path":"/k"}"#) == "204")
        #expect(other.ask(#"PUT /actions {"action_type":"InstanceStart"}"#) == "204")
        #expect(other.control.started?.balloon?.isHintingFreePages == true)
        for request in ["start", "start {}", #"start {"acknowledge_on_stop":false}"#, "stop", "stop {}"] {
            #expect(other.ask("PATCH /balloon/hinting/" + request) == "204")
        }
        #expect(other.control.calls == ["hints true", "hints true", "hints false", "no hints", "no hints"])
        #expect(other.ask("GET /balloon/hinting/status") == #"200 {"host_cmd":3,"guest_cmd":2}"#)
        #expect(other.fault("PATCH /balloon/hinting/x {}") == "Unrecognized PATCH request path `hinting`.")
    }
}
