import AgentProtocol
import Foundation
import HostFiles
import ImageStore
import Testing

@testable import AgentClient
@testable import Fleet

@Suite struct ContainerSettingsTests {
    @Test(
        arguments: [
            ("SIGTERM", 15), ("term", 15), ("15", 15), ("SIGQUIT", 3), ("SIGRTMIN+3", 37), ("rtmin", 34),
            ("RTMAX-1", 63),
            ("64", 64), ("0", nil), ("65", nil), ("SIGNOTHING", nil), ("RTMIN+x", nil), ("RTMIN+31", nil), ("", nil),
        ] as [(String, UInt8?)])
    func `signals are read as images write them`(text: String, number: UInt8?) {
        #expect(StopSignal.number(of: text) == number)
        if let number { #expect(StopSignal.number(of: StopSignal.name(of: number)) == number) }
    }

    @Test func `restart policies are read, and want another run when they should`() throws {
        let failure = try RestartPolicy(parsing: "on-failure:2")
        #expect(failure.description == "on-failure:2")
        #expect(failure.wantsAnother(exitStatus: 1, restarts: 1) && !failure.wantsAnother(exitStatus: 1, restarts: 2))
        #expect(failure.wantsAnother(exitStatus: nil, restarts: 0) && !failure.wantsAnother(exitStatus: 0, restarts: 0))
        #expect(try RestartPolicy(parsing: "always").wantsAnother(exitStatus: 0, restarts: 1000))
        #expect(try RestartPolicy(parsing: "unless-stopped").wantsAnother(exitStatus: 0, restarts: 1000))
        #expect(!RestartPolicy().wantsAnother(exitStatus: 1, restarts: 0))
        for text in ["", "sometimes", "always:3", "on-failure:0", "on-failure:x", "on-failure:1:2"] {
            #expect(throws: FleetError.self, "\(text)") { try RestartPolicy(parsing: text) }
        }
    }

    @Test func `each pause is longer, up to a minute, and short again after a program that stayed`() {
        var backOff = RestartBackOff()
        var pauses: [Double] = []
        for _ in 0..<12 { pauses.append(backOff.next(afterRunningSeconds: 0.5)) }
        #expect(pauses.prefix(4) == [0.1, 0.2, 0.4, 0.8] && pauses.last == 60)
        for (ran, pause) in [(11.0, 0.1), (0.0, 0.2)] {
            let next = backOff.next(afterRunningSeconds: ran)
            #expect(next == pause)
        }
    }

    @Test func `checks come soon after the start, and then less and less often`() {
        var check = HealthCheck(command: ["check"])
        #expect([0, 0.1, 0.4, 2, 60].map { check.earlyPauseSeconds(since: $0) } == [0.05, 0.05, 0.1, 0.5, 5])
        check.startIntervalSeconds = 0.01
        #expect(check.earlyPauseSeconds(since: 1) == 0.01)
    }

    private func answer(_ status: Int32?) -> HealthReport.Check {
        HealthReport.Check(started: "", durationSeconds: 0, exitStatus: status, output: "")
    }

    @Test func `so many failures in a row make a machine unhealthy, once, and one success healthy`() {
        var report = HealthReport()
        var news: [Bool] = []
        for status: Int32? in [1, nil] { news.append(report.add(answer(status), counts: false, retries: 1)) }
        #expect(report.state == .starting && report.failuresInARow == 0)
        news.append(report.add(answer(1), counts: true, retries: 2))
        news.append(report.add(answer(nil), counts: true, retries: 2))
        #expect(report.state == .unhealthy)
        news.append(report.add(answer(1), counts: true, retries: 2))
        #expect(report.failuresInARow == 3)
        news.append(report.add(answer(0), counts: true, retries: 2))
        #expect(report.state == .healthy)
        // Once healthy, a failure counts, start period or not.
        news.append(report.add(answer(1), counts: false, retries: 1))
        #expect(report.state == .unhealthy && report.checks.count == 5)
        #expect(news == [false, false, false, true, false, false, true])
    }

    @Test func `an image's health check is taken, or said to be none`() throws {
        var image = ImageConfiguration.HealthCheck()
        #expect(try HealthCheck(image) == nil)
        image.test = ["NONE"]
        #expect(try HealthCheck(image) == nil)
        image.test = ["CMD-SHELL", "test -e /ok"]
        image.intervalSeconds = 2
        let check = try #require(try HealthCheck(image))
        #expect(check.command == ["/bin/sh", "-c", "test -e /ok"] && check.intervalSeconds == 2 && check.retries == 3)
        image.test = ["CMD", "a", "b"]
        #expect(try HealthCheck(image)?.command == ["a", "b"])
        for wrong in [["CMD"], ["CMD-SHELL"], ["CMD-SHELL", "a", "b"], ["HTTP", "/"]] {
            image.test = wrong
            #expect(throws: FleetError.self) { try HealthCheck(image) }
        }
        for (interval, retries) in [(0.01, 3), (.infinity, 3), (.nan, 3), (1, 0)] {
            var check = HealthCheck(command: ["a"])
            check.intervalSeconds = interval
            check.retries = retries
            #expect(throws: FleetError.self) { try check.check() }
        }
    }

    @Test func `places, hosts and temporary folders are read`() throws {
        #expect(try GuestPath.checked("//a/b/", "-v") == "/a/b")
        for path in ["", "/", "a", "/a/../b", "/.", "/" + String(repeating: "x", count: 256)] {
            #expect(throws: FleetError.self, "\(path)") { try GuestPath.checked(path, "-v") }
        }
        #expect(try ContainerSettings.HostAddress(parsing: "db:fd00::1").address == "fd00::1")
        #expect(try ContainerSettings.HostAddress(parsing: "up:host-gateway").address == "host-gateway")
        for text in ["db", ":1.2.3.4", "db:", "a b:1.2.3.4", "db:1.2.3"] {
            #expect(throws: FleetError.self, "\(text)") { try ContainerSettings.HostAddress(parsing: text) }
        }
        let folder = try TemporaryFolder(parsing: "/scratch:size=1m,ro,exec")
        #expect(folder.options == "size=1m,mode=1777" && folder.isReadOnly && folder.allowsExecution)
        let volume = try VolumeAttachment(parsing: "data:/var/data/:ro")
        #expect(volume.name == "data" && volume.target == "/var/data" && volume.isReadOnly)
        for text in ["data", "data:", "data:x", "data:/x:rox", ":/x", "/tmp:/x", "./a:/x", "a/b:/x", "data:/x:ro:ro"] {
            #expect(throws: VolumeError.self, "\(text)") { try VolumeAttachment(parsing: text) }
        }
    }

    @Test func `a folder has a slash in its path, and a volume's name has none`() throws {
        for text in ["/srv:/x", "./a:/x", "a/b:/x", ".:/x", "..:/x", "~/a:/x"] {
            #expect(SharedFolder.isOne(text), "\(text)")
        }
        for text in ["data:/x", "data:/x:ro", "a.b:/x", ""] { #expect(!SharedFolder.isOne(text), "\(text)") }
        let folder = try SharedFolder(parsing: "./a:/srv/data/:ro") { "/here/" + $0 }
        #expect(folder.path == "/here/./a" && folder.target == "/srv/data" && folder.isReadOnly)
        #expect(try !SharedFolder(parsing: "/a:/x:rw") { $0 }.isReadOnly)
        for text in ["/a", "/a:x", "/a:/", "/a:/x:rox", "/a:/x:ro:ro", "/a:/../x", "/a:b:/x"] {
            #expect(throws: (any Error).self, "\(text)") { try SharedFolder(parsing: text) { $0 } }
        }
    }

    @Test func `folders are the monitor's devices and the guest's mounts, and must be there`() throws {
        var specification = MachineSpecification()
        specification.command = ["true"]
        specification.container.folders = [
            try SharedFolder(parsing: "/etc:/data/etc:ro") { $0 }, try SharedFolder(parsing: "/tmp:/data") { $0 },
        ]
        try specification.check()
        let mounts = specification.mounts(filling: [])
        #expect(mounts.map(\.target) == ["/data", "/data/etc"] && mounts.map(\.source) == ["folder1", "folder0"])
        #expect(mounts.allSatisfy { $0.fileSystem == "virtiofs" && $0.flags.contains([.noSetUserID, .noDevices]) })
        #expect(mounts.map { $0.flags.contains(.readOnly) } == [false, true])
        let text = MonitorConfiguration(specification: specification, initrdPaths: [], socketPath: "/s").json
        #expect(text.contains(#""shared-folders":[{"tag":"folder0","path_on_host":"/etc","is_read_only":true"#))
        let again = try JSONDecoder().decode(
            MachineSpecification.self, from: JSONEncoder().encode(specification))
        #expect(again == specification)
        for path in ["/nonexistent", "/etc/passwd", "/proc", "/proc/self/fd"] {
            specification.container.folders = [try SharedFolder(parsing: path + ":/x") { $0 }]
            #expect(throws: FleetError.self) { try specification.check() }
        }
        specification.container.folders = try (0..<9).map { try SharedFolder(parsing: "/tmp:/x\($0)") { $0 } }
        #expect(throws: FleetError.self) { try specification.check() }
        #expect(throws: FleetError.self) {
            try SharedFolder(parsing: "/proc/self:/x") { $0 }.checkReachable(isEmulated: true)
        }
        try SharedFolder(parsing: "/etc:/x") { $0 }.checkReachable(isEmulated: true)
    }

    @Test func `what lies within another is mounted after it, and the root is closed last`() throws {
        var specification = MachineSpecification()
        specification.disks = [.init(path: "/a", isReadOnly: true)]
        specification.workingDirectory = "/work"
        specification.container.volumes = [
            try VolumeAttachment(parsing: "inner:/srv/data/inner"), try VolumeAttachment(parsing: "outer:/srv/data:ro"),
        ]
        specification.container.temporaryFolders = [try TemporaryFolder(parsing: "/srv")]
        specification.container.handedIn = ["/run/secrets/key"]
        specification.container.isReadOnly = true
        let mounts = specification.mounts(filling: [specification.container.volumes[0]])
        #expect(mounts.map(\.target) == ["/srv", "/srv/data", "/run/secrets", "/srv/data/inner", "/work", "/"])
        #expect(mounts.map(\.source) == ["tmpfs", "/dev/vdd", "tmpfs", "/dev/vdc", "/work", ""])
        #expect(
            mounts[3].flags.contains(.fill) && !mounts[1].flags.contains(.fill) && mounts[1].flags.contains(.readOnly))
        specification.workingDirectory = "/srv/data/x"
        #expect(specification.mounts(filling: []).count == 5)
    }

    @Test func `settings are the last disk, which the guest only reads, and a link beside their files`() throws {
        var specification = MachineSpecification()
        specification.disks = [.init(path: "/a", isReadOnly: false)]
        specification.container.volumes = [try VolumeAttachment(parsing: "data:/data")]
        specification.settingsFloppyPath = "/settings/fw/floppy.img"
        #expect(specification.allDisks.last == .init(path: "/settings/fw/floppy.img", isReadOnly: true))
        let mount = try #require(specification.mounts(filling: []).first { $0.target == "/run/settings" })
        #expect(mount.source == "/dev/vdd" && mount.fileSystem == Mount.settingsFileSystem)
    }

    @Test func `two things in one place, and secrets on a volume, are refused`() throws {
        var settings = ContainerSettings()
        settings.volumes = [try VolumeAttachment(parsing: "a:/x"), try VolumeAttachment(parsing: "b:/x")]
        #expect(throws: FleetError.self) { try settings.check() }
        settings.volumes.removeLast()
        try settings.check()
        settings.handedIn = ["/x/key"]
        #expect(throws: FleetError.self) { try settings.check() }
        settings.handedIn = ["/xy/key"]
        try settings.check()
    }

    @Test func `a record of an earlier version is read`() throws {
        var specification = MachineSpecification()
        specification.command = ["true"]
        let object = try #require(
            try JSONSerialization.jsonObject(with: JSONEncoder().encode(specification)) as? [String: Any])
        #expect(object["containerSettings"] == nil)
        let read = try JSONDecoder().decode(
            MachineSpecification.self, from: JSONSerialization.data(withJSONObject: object))
        #expect(read == specification && read.container == ContainerSettings())
        specification.container.stopSignal = 3
        let again = try JSONDecoder().decode(MachineSpecification.self, from: JSONEncoder().encode(specification))
        #expect(again.container.stopSignal == 3)
    }

    @Test func `files that are handed in come as one tree, each folder once and before what is in it`() {
        let files = ["/etc/b", "/etc/a/x", "/etc/a.conf", "/run/secrets/k"].map {
            HandedInFile(path: $0, permissions: 0o400, contents: Array("c".utf8))
        }
        var paths: [String] = []
        for message in FileCopy.messages(files) {
            if case .entry(let entry) = message {
                paths.append(entry.path.description + (entry.kind == .directory ? "/" : ""))
            }
        }
        #expect(
            paths == ["/", "etc/", "etc/a/", "etc/a/x", "etc/a.conf", "etc/b", "run/", "run/secrets/", "run/secrets/k"])
    }

    @Test func `what is handed in reaches the other process as it was`() throws {
        let files = [
            HandedInFile(path: "/a", permissions: 0o600, userID: 7, groupID: 8, contents: (0...255).map { UInt8($0) })
        ]
        for files in [files, []] {
            let packed = try HandedInFiles.pack(files)
            let number = packed.number
            #expect(try HandedInFiles.unpack(number) == files)
            extendLifetime(packed)
        }
    }
}
