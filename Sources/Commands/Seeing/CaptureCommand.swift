import AgentClient
import ArgumentParser
import FabricProtocol
import Fleet
import LinuxCalls
import Packets

struct CaptureCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture",
        abstract: "Show or keep the packets that go to and from machines, and through appliances.",
        discussion: """
            At one place or several at once, in the order of time: a machine (each of its interfaces that is in a network or a
            wire), MACHINE:INTERFACE, an appliance, a network (what its machines send into it, and what its gateway sends), or
            between NETWORK and NETWORK: the wire of what is between the two, at the end of the first one. With --path also every
            place along the wire. Nobody notices; packets that there was no time for are
            counted.

            Each packet is a line: the time (UTC), the place, whether it was sent (out) or got (in) by whoever is called so, and
            what it is. With -w it is a file for Wireshark and tshark (pcapng).

            Filters are those of tcpdump: host, net, port, portrange, with src or dst; tcp, udp, sctp, icmp, icmp6, arp, ip, ip6,
            ether host; and, or, not, parentheses.

            Examples:
              swiftlet capture web
              swiftlet capture web ips lan --filter "tcp port 80"
              swiftlet capture --path between office and dmz
              swiftlet capture --path web:eth0 -w web.pcapng --seconds 10s
              swiftlet capture lan -w - | tshark -r -
            """)

    @Option(
        help: ArgumentHelp(
            "Only packets that this fits, such as \"tcp port 80 and not host 10.0.0.1\".", valueName: "expression"))
    var filter = ""
    @Option(name: [.short, .long], help: "End after so many packets.") var count: UInt64?
    @Option(help: ArgumentHelp("End after this time: 10s, 500ms, 1m.", valueName: "time")) var seconds: String?
    @Option(help: ArgumentHelp("Keep at most so many bytes of each packet: 64 to 262144.", valueName: "bytes"))
    var snapLength: UInt32 = 262_144
    @Option(
        name: [.customShort("w"), .long],
        help: ArgumentHelp("Write a pcapng file; - is standard output.", valueName: "file"))
    var write: String?
    @Flag(help: "Look along the machines' wires: at appliances in them, and at the network's end.") var path = false
    @Argument(
        help: "Machines, MACHINE:INTERFACE, appliances, networks, between NETWORK and NETWORK.",
        completion: Completions.captured)
    var places: [String]
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        do throws(FilterFault) { _ = try PacketFilter(filter) } catch {
            throw CommandFailure("usage.filter", "\(error)")
        }
        guard CaptureRequest.snapshotBytes.contains(snapLength) else {
            throw CommandFailure(
                "usage.snap-length",
                "--snap-length is from \(CaptureRequest.snapshotBytes.lowerBound) to \(CaptureRequest.snapshotBytes.upperBound)"
            )
        }
        var wish = CaptureWish(places, form: write == nil ? .text : .pcapng, snapshotBytes: snapLength)
        wish.alongWires = path
        wish.filter = filter
        wish.mostFrames = count ?? 0
        if count == 0 { throw CommandFailure("usage.count", "--count is at least 1") }
        if let seconds {
            let time = try Units.time(seconds, "--seconds")
            guard time >= 0.001, time <= 1e8 else {
                throw CommandFailure("usage.time", "--seconds is from 1ms to 100000000s, not \(seconds)")
            }
            wish.milliseconds = UInt64(time * 1000)
        }
        if write == "-", Terminal.isTerminal(1) {
            throw CommandFailure(
                "usage.terminal",
                "a capture's file is nothing for a terminal; pipe it, as in -w - | tshark -r -, or leave -w out")
        }
        let signals = try SignalWatcher()
        let output = try CaptureOutput(file: write == "-" ? nil : write) { signals.endSignal() != nil }
        try output.whenUnread { SignalWatcher.tellOwnProcess(SignalNumber.terminate) }
        do { try Product.fleet.capture(wish, signals: signals, output: output) } catch {
            // Why, if it said so.
            try output.finish()
            throw error
        }
        try output.finish()
    }
}
