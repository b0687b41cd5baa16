import LinuxCalls
import Testing
import WireFormats

@testable import EmulatedHost

/// QEMU's control socket, with a script in QEMU's place.
@Suite struct EmulatorControlTests {
    private static let greeting = #"{"QMP":{"version":{},"capabilities":[]}}"#

    /// Answers each line with what the test says; `{"return":{}}` to the first.
    private func withControl(
        answering lines: [String], _ body: (inout EmulatorControl) throws -> Void
    ) throws {
        try ScratchFolder.with { folder in
            let server = try ScriptedServer(path: folder + "/qmp") { socket in
                reply(socket, Self.greeting + "\r\n")
                for answer in [#"{"return":{}}"#] + lines {
                    while receive(socket, 1) != [UInt8(ascii: "\n")] {}
                    reply(socket, answer + "\r\n")
                }
            }
            var control = try EmulatorControl.connect(folder + "/qmp", waitingMilliseconds: 5000) { true }
            try body(&control)
            extendLifetime(server)
        }
    }

    @Test func eventsBetweenAnswersArePassedOver() throws {
        let events = #"{"event":"STOP"}"# + "\r\n" + #"{"event":"RESUME","data":{}}"# + "\r\n"
        try withControl(answering: [events + #"{"return":{"status":"running"}}"#]) { control in
            let answer = try control.perform("query-status")
            #expect(answer.string("status") == "running")
        }
    }

    @Test func aRefusalHasTheEmulatorsWords() throws {
        try withControl(answering: [#"{"error":{"class":"GenericError","desc":"no such thing"}}"#]) { control in
            do throws(HostError) {
                try control.perform("migrate")
                Issue.record("it was not refused")
            } catch {
                #expect(error.code == .emulatorEnded)
                #expect(error.message.contains("migrate") && error.message.contains("no such thing"))
            }
        }
    }

    @Test func nonsenseAndTheEndOfTheStreamAreErrors() throws {
        for answers in [["what?"], ["{"], []] {
            try withControl(answering: answers) { control in
                do throws(HostError) {
                    try control.perform("query-status")
                    Issue.record("it was believed: \(answers)")
                } catch {
                    #expect(error.code == .emulatorEnded)
                }
            }
        }
    }

    @Test func waitingEndsWithTheEmulatorAndWithTime() {
        for isRunning in [false, true] {
            #expect(throws: HostError.self) {
                _ = try EmulatorControl.connect("/tmp/swiftlet-no-such-socket", waitingMilliseconds: 20) { isRunning }
            }
        }
    }
}
