import APITestSupport
import Foundation
import Testing

@testable import MonitorAPI

/// Snapshots as a client sees them; the machines behind are tested where they are.
@Suite struct SnapshotTests {
    private static let create = #"PUT /snapshot/create {"snapshot_path":"/s","mem_file_path":"/m"}"#

    /// What is kept with a snapshot of the machine that has one of everything.
    private func snapshot() -> String? {
        let face = Face()
        face.start()
        #expect(face.ask(#"PATCH /vm {"state":"Paused"}"#) == "204")
        #expect(face.ask(Self.create) == "204")
        #expect(face.control.calls.last == "snapshot /s /m")
        return face.control.snapshot
    }

    private func load(_ more: String = "", into face: Face) -> String {
        let backend = #"{"backend_path":"/m","backend_type":"File"}"#
        return face.ask(#"PUT /snapshot/load {"snapshot_path":"/s","mem_backend":\#(backend)\#(more)}"#)
    }

    @Test func `a machine that runs is not saved, nor one that is not there`() {
        let face = Face()
        #expect(face.fault(Self.create).contains("before starting"))
        face.start()
        #expect(face.fault(Self.create).contains("unavailable while running"))
        #expect(face.control.snapshot == nil)
    }

    @Test func `a differential snapshot is made where one is wanted`() {
        let face = Face()
        face.start()
        _ = face.ask(#"PATCH /vm {"state":"Paused"}"#)
        let create = #"PUT /snapshot/create {"snapshot_type":"Diff","snapshot_path":"/s","mem_file_path":"/m"}"#
        #expect(face.ask(create) == "204")
        #expect(face.control.calls.last == "snapshot /s /m of changes")
        #expect(face.ask(Self.create) == "204")
        #expect(face.control.calls.last == "snapshot /s /m")
        face.control.refusal = HostRefusal("what changed is not known")
        #expect(face.fault(create).contains("what changed is not known"))
    }

    @Test func `a machine that runs is saved while it does so, and the answer says how long it stood still`() {
        let face = Face()
        let live = #"PUT /swiftlet/live-snapshot {"snapshot_path":"/s","mem_file_path":"/m"}"#
        #expect(face.fault(live).contains("before starting"))
        face.start()
        #expect(face.ask(live) == #"200 {"pause_us":1234}"#)
        #expect(face.control.calls.last == "snapshot /s /m")
        #expect(face.ask("GET /").contains(#""state":"Running""#))
        _ = face.ask(#"PATCH /vm {"state":"Paused"}"#)
        #expect(face.fault(live).contains("stands still"))
    }

    @Test func `a snapshot whose memory is checked is loaded by a path of our own`() {
        let face = Face()
        face.control.snapshot = snapshot()
        func load(_ more: String) -> String {
            #"PUT /swiftlet/checked-load {"snapshot_path":"/s","mem_tree_path":"/t",\#(more)}"#
        }
        let root = String(repeating: "0aF", count: 21) + "9"
        for bad in [root.dropLast() + "g", root.dropLast(), root + "00"] {
            #expect(face.fault(load(#""mem_file_path":"/m","mem_root":"\#(bad)""#)).contains("64 digits"))
        }
        let served = #""mem_backend":{"backend_path":"/h","backend_type":"Uffd"},"mem_root":"\#(root)""#
        #expect(face.fault(load(served)).contains("cannot be checked"))
        #expect(face.ask(load(served.replacing("Uffd", with: "File"))) == "204")
        #expect(face.control.calls.contains("open /s /h checked by /t"))
    }

    @Test func `what a machine has touched is written down beside its memory file`() {
        let face = Face()
        face.start()
        let save = #"PUT /swiftlet/working-set {"mem_file_path":"/m"}"#
        #expect(face.ask(save) == "204")
        #expect(face.control.calls.last == "working set /m")
        face.control.refusal = HostRefusal("the machine was not made from a snapshot")
        #expect(face.fault(save).contains("not made from a snapshot"))
    }

    @Test func `a machine of a snapshot has its devices and stands still until it is resumed`() throws {
        let saved = try #require(snapshot())
        let face = Face()
        face.control.snapshot = saved
        #expect(load(into: face) == "204")
        #expect(face.control.calls == ["open /s /m", "restore paused"])
        #expect(face.ask("GET /").contains(#""state":"Paused""#))
        let started = try #require(face.control.started)
        #expect(started.virtualCPUCount == 2 && started.memoryMebibytes == 64 && started.hasEntropyDevice)
        #expect(started.drives.map(\.pathOnHost) == ["/d"] && started.vsock?.udsPath == "/v")
        #expect(started.networkInterfaces.map(\.hostDeviceName) == ["tap0"])
        let original = Face()
        original.start()
        #expect(face.ask("GET /vm/config") == original.ask("GET /vm/config"))
        #expect(face.ask(#"PATCH /vm {"state":"Resumed"}"#) == "204")
        #expect(face.ask("GET /").contains(#""state":"Running""#))
    }

    @Test func `a machine of a snapshot runs at once when that is asked, behind another interface`() {
        let face = Face()
        face.control.snapshot = snapshot()
        let more =
            #","resume_vm":true,"track_dirty_pages":true,"network_overrides":[{"iface_id":"eth0","host_dev_name":"tap9"}]"#
        #expect(load(more, into: face) == "204")
        #expect(face.control.calls.last == "restore")
        #expect(face.control.started?.networkInterfaces.map(\.hostDeviceName) == ["tap9"])
        #expect(face.ask("GET /").contains(#""state":"Running""#))
        // The older word for it is answered as deprecated.
        let older = Face()
        older.control.snapshot = snapshot()
        #expect(load(#","enable_diff_snapshots":true"#, into: older) == "204!")
    }

    @Test func `what does not fit is refused, and another machine can be made afterwards`() {
        let face = Face()
        #expect(load(into: face).contains("No such file"))
        face.control.snapshot = "{"
        #expect(load(into: face).contains("the configuration in the state file"))
        face.control.snapshot = "{}"
        #expect(load(into: face).contains("holds no configuration"))
        face.control.snapshot = snapshot()
        #expect(
            load(#","network_overrides":[{"iface_id":"eth7","host_dev_name":"tap9"}]"#, into: face).contains("eth7"))
        face.start()
        #expect(load(into: face).contains("after starting"))
    }

    @Test func `files that are not there are told in the original's words, with the disk's path at the end`() {
        let face = Face()
        #expect(
            face.fault(
                #"PUT /snapshot/load {"snapshot_path":"/missing","mem_backend":{"backend_path":"/m","backend_type":"File"}}"#
            )
                == "Load snapshot error: Failed to restore from snapshot: Failed to get snapshot state from file: "
                + "Failed to open snapshot file: No such file or directory (os error 2)")
        face.control.snapshot = snapshot()?.replacingOccurrences(of: "\"/d\"", with: "\"/missing\"")
        #expect(
            load(into: face).contains(
                "Error manipulating the backing file: No such file or directory (os error 2) /missing"))
        #expect(face.control.started == nil)
    }

    @Test func `pages come from another process where that is wanted`() {
        let face = Face()
        face.control.snapshot = snapshot()
        let backend = #"{"backend_path":"/m","backend_type":"Uffd"}"#
        #expect(face.ask(#"PUT /snapshot/load {"snapshot_path":"/s","mem_backend":\#(backend)}"#) == "204")
        #expect(face.control.calls == ["open /s /m served", "restore paused"])
    }

    @Test func `a snapshot is not loaded into a machine that was described`() {
        let face = Face()
        face.control.snapshot = snapshot()
        _ = face.ask(Face.machine[0])
        #expect(load(into: face).contains("boot-specific resources"))
        #expect(face.control.started == nil)
    }

    @Test func `a machine of huge pages goes on by a page server only, as there`() {
        let face = Face()
        #expect(face.ask(#"PUT /boot-source {"kernel_image_path":"/k"}"#) == "204")
        #expect(
            face.fault(#"PUT /machine-config {"vcpu_count":1,"mem_size_mib":127,"huge_pages":"2M"}"#)
                .contains("not a multiple of the configured page size"))
        #expect(face.ask(#"PUT /machine-config {"vcpu_count":1,"mem_size_mib":128,"huge_pages":"2M"}"#) == "204")
        #expect(face.ask(#"PUT /actions {"action_type":"InstanceStart"}"#) == "204")
        #expect(face.control.started?.hasHugePages == true)
        #expect(
            face.ask(#"PUT /swiftlet/live-snapshot {"snapshot_path":"/s","mem_file_path":"/m"}"#)
                == #"200 {"pause_us":1234}"#)
        #expect(face.ask(#"PATCH /vm {"state":"Paused"}"#) == "204")
        #expect(face.ask(#"PUT /snapshot/create {"snapshot_path":"/s","mem_file_path":"/m"}"#) == "204")
        let other = Face()
        other.control.snapshot = face.control.snapshot
        #expect(
            load(into: other).contains(
                "Cannot restore hugetlbfs backed snapshot by mapping the memory file. Please use uffd."))
        #expect(
            other.ask(
                #"PUT /snapshot/load {"snapshot_path":"/s","mem_backend":{"backend_path":"/m","backend_type":"Uffd"}}"#)
                == "204")
        #expect(other.control.started?.hasHugePages == true)
    }

    @Test func `pages of the other size are loaded by a path of our own`() {
        func load(_ pages: String) -> String {
            #"PUT /swiftlet/huge-load {"snapshot_path":"/s","mem_file_path":"/m","huge_pages":"\#(pages)"}"#
        }
        let face = Face()
        face.control.snapshot = snapshot()
        #expect(face.fault(load("1G")).contains("unknown variant"))
        #expect(face.ask(load("2M")) == "204!")
        #expect(face.control.started?.hasHugePages == true)
        #expect(face.ask("GET /machine-config").contains(#""huge_pages":"2M""#))
        let small = Face()
        small.control.snapshot = snapshot()?.replacing("\"None\"", with: "\"2M\"")
        #expect(small.ask(load("None")) == "204!")
        #expect(small.control.started?.hasHugePages == false)
    }
}
