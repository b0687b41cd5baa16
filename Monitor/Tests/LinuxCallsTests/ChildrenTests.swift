import Testing

@testable import LinuxCalls

/// Each in a process of its own: a child borrows the memory of the whole process, and `reap` takes whichever child ends
/// first, those of other tests too.
@Suite struct ChildrenTests {
    private static func run(
        _ candidates: [String], _ arguments: [String], environment: [String] = [],
        _ change: (inout ChildCommand) -> Void = { _ in }
    ) throws -> (output: String, end: ChildEnd) {
        let before = try setBlockedSignals(SignalSet(bits: .max))
        defer { _ = try? setBlockedSignals(before) }
        let pipe = try PipePair()
        let writing = pipe.writing.number
        let null = try open("/dev/null", .readWrite)
        var command = ChildCommand(
            candidates: candidates.map { Array($0.utf8) }, arguments: arguments.map { Array($0.utf8) },
            environment: environment.map { Array($0.utf8) },
            standardDescriptors: (null.number, writing, null.number))
        change(&command)
        let child = try Children.start(command)
        // The child has its own copy; ours must go for the end of file to come.
        let reading = pipe.reading
        closeNow(pipe.writing)
        let output = try FileTree.contents(reading.number, maximumBytes: 1 << 20)
        while true {
            if let ended = try Children.reap() {
                #expect(ended.process == child)
                return (String(decoding: output, as: UTF8.self), ended.end)
            }
            sleep(nanoseconds: 1_000_000)
        }
    }

    @Test func aChildRunsWithItsArgumentsEnvironmentAndDirectory() async {
        await #expect(processExitsWith: .success) {
            let (output, end) = try ChildrenTests.run(
                ["/bin/sh"], ["name", "-c", "echo $0-$A-$(pwd)"], environment: ["A=b"]
            ) {
                $0.workingDirectory = Array("/usr".utf8)
            }
            #expect(output == "name-b-/usr\n" || output == "sh-b-/usr\n" || output.hasSuffix("-b-/usr\n"))
            #expect(end == .exited(0))
        }
    }

    @Test func theEndOfAChildIsToldAsItWas() async {
        await #expect(processExitsWith: .success) {
            let exited = try ChildrenTests.run(["/bin/sh"], ["sh", "-c", "exit 7"])
            #expect(exited.end == .exited(7))
            let killed = try ChildrenTests.run(["/bin/sh"], ["sh", "-c", "kill -9 $$"])
            #expect(killed.end == .signalled(9))
        }
    }

    @Test func theFirstCandidateThatRunsIsTaken() async {
        await #expect(processExitsWith: .success) {
            let (output, _) = try ChildrenTests.run(
                ["/nowhere/sh", "/etc/passwd/sh", "/bin/sh"], ["sh", "-c", "echo here"])
            #expect(output == "here\n")
        }
    }

    @Test func aProgramThatIsNotThereIsToldFromOneThatMayNotRun() async {
        await #expect(processExitsWith: .success) {
            #expect(throws: ChildFailure(step: .execution, error: LinuxError(2))) {
                try ChildrenTests.run(["/nowhere"], ["x"])
            }
            #expect(throws: ChildFailure(step: .execution, error: LinuxError(13))) {
                try ChildrenTests.run(["/etc/passwd", "/nowhere"], ["x"])
            }
            #expect(throws: ChildFailure(step: .workingDirectory, error: LinuxError(2))) {
                try ChildrenTests.run(["/bin/sh"], ["sh"]) { $0.workingDirectory = Array("/nowhere".utf8) }
            }
        }
    }

    @Test func signalsAreAsAFreshProgramExpectsThem() async {
        await #expect(processExitsWith: .success) {
            let (output, _) = try ChildrenTests.run(["/bin/cat"], ["cat", "/proc/self/status"])
            for line in output.split(separator: "\n") where line.hasPrefix("SigBlk") || line.hasPrefix("SigIgn") {
                #expect(line.hasSuffix("0000000000000000"), "\(line)")
            }
        }
    }

    private static func closeNow(_ descriptor: consuming FileDescriptor) {}

    private static func openDescriptors() throws -> Int {
        let folder = try open("/proc/self/fd", [.directory])
        return try FileTree.names(in: folder.number).count
    }

    @Test func aHundredChildrenLeaveNoDescriptorBehind() async {
        await #expect(processExitsWith: .success) {
            let before = try ChildrenTests.openDescriptors()
            for _ in 0..<100 {
                let end = try ChildrenTests.run(["/bin/true"], ["true"]).end
                #expect(end == .exited(0))
            }
            let after = try ChildrenTests.openDescriptors()
            // The libraries of the tests open a few; a child that kept one of its own would show a hundred.
            #expect(after < before + 50)
        }
    }
}
