import AgentClient
import AgentProtocol
import Testing

@testable import Fleet

@Suite struct RunFailureTests {
    @Test(
        arguments: [
            AgentClientError(.refused, "no such program", failure: Failure(.commandNotFound, text: "no")),
            FleetError(.interrupted, "ended by signal 15", signal: 15),
            FleetError(.agentSilent, "its console ends with:\n    a\tb"),
        ] as [any Error])
    func `why a program did not run crosses from the background unchanged`(error: any Error) {
        let failure = RunFailure(error)
        #expect(RunFailure(decoding: failure.encoded) == failure)
        #expect(failure.message == "\(error)")
    }

    @Test func `each reason has the exit status that a shell expects`() {
        let missing = AgentClientError(.refused, "no", failure: Failure(.commandNotFound, text: "no"))
        #expect(RunFailure(missing).status == 127 && RunFailure(missing).code == "agent.refused")
        #expect(RunFailure(FleetError(.interrupted, "ended", signal: 15)).status == 143)
        #expect(RunFailure(FleetError(.duplicateName, "taken")).status == 125)
    }

    @Test func `a background process that says nothing is a failure too`() {
        #expect(RunFailure(decoding: "").code == "machine.monitor-ended")
        #expect(RunFailure(decoding: "x\ty\tz").status == 125)
    }

    @Test func `a kernel that gave up is told from one that was asked to restart`() {
        let end = "[    3.2] CPU: 0 PID: 1 Comm: init\r\n[    3.2] Call Trace:\nswiftlet-vmm: the guest reset itself\n"
        let panics = [
            ("[    3.1] Kernel panic - not syncing: Out of memory: compulsory", "Out of memory: compulsory"),
            ("[    3.1][    T1] Kernel panic - not syncing: x", "x"), ("Kernel panic - not syncing: y", "y"),
            ("echo: Kernel panic - not syncing: z", nil), ("[    3.1] reboot: Restarting system", nil),
        ]
        for (line, reason) in panics {
            #expect(GuestConsole.panic(in: "[    0.0] Linux version 6\r\n\(line)\r\n\(end)") == reason, "\(line)")
        }
        #expect(GuestConsole.panic(in: "") == nil)
        #expect(RunFailure(FleetError(.kernelPanicked, "no")).status == 125)
    }
}
