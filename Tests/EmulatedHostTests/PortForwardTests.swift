import Testing

@testable import EmulatedHost

@Suite struct PortForwardTests {
    @Test func `what is forwarded for machines is told from what is the emulated host's own`() {
        let text = """
            VLAN -1 (control):
              Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
              TCP[HOST_FORWARD]  12       127.0.0.1 37323       10.0.2.15  1024     0     0
              TCP[HOST_FORWARD]  13               * 18080       10.0.2.15 18080     0     0
              TCP[HOST_FORWARD]  14       127.0.0.1 18081       10.0.2.15 18081     0     0
              TCP[ESTABLISHED]   15       127.0.0.1 18082       10.0.2.15 18082     0     0
            """
        #expect(
            EmulatorControl.forwards(in: text) == [
                PortForward(address: nil, port: 18080), PortForward(address: "127.0.0.1", port: 18081),
            ])
        #expect(EmulatorControl.forwards(in: "nothing of that kind").isEmpty)
    }
}
