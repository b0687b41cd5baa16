import Testing

@testable import EmulatedHost

@Suite struct DoctorTests {
    @Test func everyCheckThatIsNotGoodSaysWhatItMeansOrWhatToDo() throws {
        let settings = HostSettings(
            dataFolder: "/nonexistent", runtimeFolder: "/run/swiftlet", libexecFolder: "/nonexistent")
        let checks = Doctor(settings, parts: ["/bin/sh", "/nonexistent/swiftlet-vmm"]).checks()
        #expect(Set(checks.map(\.name)).count == checks.count)
        for check in checks where check.verdict != .good {
            #expect(check.advice != nil || check.meaning != nil, "\(check)")
        }
        let parts = try #require(checks.first { $0.name == "parts" })
        #expect(parts.verdict == .problem)
        #expect(parts.finding.contains("/nonexistent/swiftlet-vmm"))
        #expect(!parts.finding.contains("/bin/sh"))
    }

    @Test func anEmulatorThatLosesChangesOfCodeIsTold() {
        #expect(["8.1.0", "8.10.2", "10.0.2", "9.2"].allSatisfy(Doctor.isSoundEmulator))
        #expect(!["7.2.22", "8.0.5", ""].contains(where: Doctor.isSoundEmulator))
    }

    @Test func aLongRuntimeFolderIsFound() {
        let long = "/" + String(repeating: "x", count: 90)
        let settings = HostSettings(dataFolder: "/tmp", runtimeFolder: long, libexecFolder: "/tmp")
        #expect(Doctor(settings, parts: []).checks().contains { $0.name == "sockets" && $0.verdict == .problem })
    }

    @Test func controlGroupsAreToldApart() {
        func verdict(_ mounts: String) -> MachineCheck.Verdict { Doctor.controlGroupCheck(mounts).verdict }
        #expect(verdict("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == .good)
        #expect(
            verdict("cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\nx /sys/fs/cgroup/cpu cgroup rw 0 0\n") == .limited)
        #expect(verdict("proc /proc proc rw 0 0\nodd\n") == .limited)
    }

    @Test func aMissingTunnelDeviceIsALimitAndNoProblem() {
        #expect(Doctor.tunnelCheck("/nonexistent").verdict == .limited)
        #expect(Doctor.tunnelCheck("/dev/null").verdict == .good)
    }

    @Test func memoryIsReadInMebibytes() {
        let memory = HostFacts.memory("MemTotal:       24684000 kB\nMemFree: 1 kB\nMemAvailable:   2048 kB\n")
        #expect(memory.totalMebibytes == 24105)
        #expect(memory.availableMebibytes == 2)
        #expect(HostFacts.memory("") == (0, 0))
    }
}
