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
}
