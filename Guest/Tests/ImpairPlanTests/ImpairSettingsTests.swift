import AgentProtocol
import ApplianceGuest
import ImpairPlan
import Testing

@Suite struct ImpairSettingsTests {
    private func settings(_ fields: [(String, String)]) throws -> ImpairSettings {
        try ImpairSettings(SettingsFields(fields.map { .init(ByteString($0.0), ByteString($0.1)) }))
    }

    @Test func `nothing that is set impairs nothing`() throws {
        let lines = try settings([]).changing.description
        #expect(
            lines
                == ["inside", "outside"].map {
                    "qdisc change dev \($0) parent 1:2 handle 20: netem limit 1000 delay 0ms 0ms loss random 0.000% duplicate 0.000% rate 0kbit\n"
                }.joined())
    }

    @Test func `each way has its own, where it leaves`() throws {
        let settings = try settings([
            ("to-network.delay-ms", "50"), ("to-network.jitter-ms", "5"), ("to-network.loss", "1.5"),
            ("to-machine.duplicate", "0.007"), ("to-machine.rate-kbit", "2000"),
        ])
        let lines = settings.making.description.split(separator: "\n").filter { $0.contains("netem") }
        #expect(lines.count == 2)
        #expect(
            lines[0].hasSuffix(
                "dev inside parent 1:2 handle 20: netem limit 1000 delay 0ms 0ms loss random 0.000% duplicate 0.007% rate 2000kbit"
            ))
        #expect(
            lines[1].hasSuffix(
                "dev outside parent 1:2 handle 20: netem limit 1000 delay 50ms 5ms loss random 1.500% duplicate 0.000% rate 0kbit"
            ))
        // What comes in at one end leaves at the other.
        #expect(
            settings.making.contains(
                "dev inside ingress protocol all prio 1 handle 1 matchall action mirred egress redirect dev outside\n"))
        #expect(
            settings.making.contains(
                "dev outside ingress protocol all prio 1 handle 1 matchall action mirred egress redirect dev inside\n"))
    }

    @Test(
        arguments: [
            ("0", 0), ("100", 100_000), ("100.000", 100_000), ("0.5", 500), ("0.05", 50), ("0.005", 5),
            ("12.34", 12_340),
        ] as [(String, UInt64)])
    func `shares of a hundred have three decimals`(text: String, thousandths: UInt64) throws {
        #expect(try settings([("to-network.loss", text)]).toNetwork.loss == thousandths)
    }

    @Test(arguments: [
        ("to-network.loss", "100.001"), ("to-network.loss", "101"), ("to-machine.loss", "1%"), ("to-machine.loss", ""),
        ("to-machine.duplicate", "1."), ("to-machine.duplicate", ".5"), ("to-machine.duplicate", "1.0000"),
        ("to-machine.duplicate", "1.2.3"), ("to-machine.duplicate", "-1"), ("to-network.delay-ms", "10001"),
        ("to-network.delay-ms", "1ms"), ("to-network.jitter-ms", "1"), ("to-machine.rate-kbit", "10000001"),
        ("to-machine.loss", "1 rate 1bit"), ("to-machine.loss", "1\nqdisc del"),
    ])
    func `what is wrong is refused by its field`(field: String, value: String) {
        #expect {
            try settings([(field, value)])
        } throws: {
            ($0 as? SettingsFault)?.field == ByteString(field)
        }
    }
}
