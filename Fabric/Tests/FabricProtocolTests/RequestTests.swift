import AgentProtocol
import FabricProtocol
import FabricTestSupport
import Foundation
import Testing

private let network = #"{"name":"a","number":1,"prefixes":[],"mtu":1500,"reaches_outside":true,"private":false}"#
private let port = #"{"number":1,"mac":"02:00:00:00:00:01"}"#

private func fault(_ text: String) -> String? {
    do throws(FabricFault) {
        _ = try FabricRequest(parsing: Array(text.utf8))
        return nil
    } catch { return error.description }
}

@Suite struct RequestTests {
    @Test(arguments: 1...40) func `a plan is read as it was written, and leads to itself`(seed: UInt64) throws {
        let plan = try FabricPlan.random(seed: seed)
        var bytes: [UInt8] = []
        FabricRequest.change(plan.asChange).document.write(to: &bytes)
        #expect(try FabricRequest(parsing: bytes) == .change(plan.asChange))
        #expect(try FabricPlan().after(plan.asChange) == plan)
        #expect(try FabricPlan.random(seed: seed &+ 1).after(plan.asChange) == plan)
        fuzzFabric(bytes)
    }

    @Test func `what is not a change is read as it was written`() throws {
        for request in [FabricRequest.report, .end] {
            var bytes: [UInt8] = []
            request.document.write(to: &bytes)
            #expect(try FabricRequest(parsing: bytes) == request)
        }
        var change = FabricChange()
        change.removedNetworks = ["a"]
        change.removedPorts = [1, 60_000]
        var bytes: [UInt8] = []
        FabricRequest.change(change).document.write(to: &bytes)
        #expect(try FabricRequest(parsing: bytes) == .change(change))
        bytes = []
        FabricRequest.readiness(change, milliseconds: 180_000).document.write(to: &bytes)
        #expect(try FabricRequest(parsing: bytes) == .readiness(change, milliseconds: 180_000))
    }

    @Test func `what is not needed may be left out`() {
        #expect(fault(#"{"change":{}}"#) == nil)
        #expect(fault(#"{"change":{"networks":[\#(network)],"ports":[\#(port)]}}"#) == nil)
        #expect(
            fault(#"{"change":{"whole":null,"ports":[{"number":1,"network":null,"mac":"02:00:00:00:00:01"}]}}"#) == nil)
    }

    @Test(arguments: [
        (#"{"readiness":{}}"#, "within 0 to 180000"), (#"{"readiness":{"change":{}}}"#, "within 0"),
        (#"{"readiness":{"change":{},"milliseconds":180001}}"#, "within 0"),
        (#"{"readiness":{"change":{},"milliseconds":-1}}"#, "within 0"),
        (#"{"readiness":{"change":{},"milliseconds":1,"more":1}}"#, "not known"),
        ("", "end of the text"), ("[]", "not an object"), ("{}", "one thing"),
        (#"{"report":null}"#, "asked for a change"),
        (#"{"rules":{}}"#, "\"rules\" that is not known"), (#"{"report":{},"end":{}}"#, "one thing at a time"),
        (#"{"change":[]}"#, "not an object"), (#"{"change":{"links":[]}}"#, "\"links\" that is not known"),
        (#"{"change":{"networks":{}}}"#, "networks of the change is not a list"),
        (#"{"change":{"whole":1}}"#, "whole of the change is not true or false"),
        (#"{"change":{"removed_networks":[1]}}"#, "no text"),
        (#"{"change":{"removed_ports":["1"]}}"#, "not a list of ports' numbers"),
        (#"{"change":{"removed_ports":[65536]}}"#, "not a list of ports' numbers"),
        (#"{"change":{"removed_ports":[-1]}}"#, "not a list of ports' numbers"),
    ])
    func `a request that is none is refused`(text: String, words: String) throws {
        let told = try #require(fault(text))
        if !text.isEmpty { #expect(told.contains(words)) }
    }

    @Test(arguments: [
        (#""number":1"#, #""number":0"#, "from 1 to 4095"), (#""number":1"#, #""number":4096"#, "from 1 to 4095"),
        (#""number":1"#, #""number":1.5"#, "from 1 to 4095"), (#""number":1,"#, "", "number of a network"),
        (#""name":"a""#, #""name":"A""#, "no name for a network"), (#""name":"a""#, #""name":5"#, "not a text"),
        (#""mtu":1500"#, #""mtu":1279"#, "mtu"), (#""mtu":1500"#, #""mtu":65522"#, "mtu"),
        (#""private":false"#, #""private":"no""#, "true or false"),
        (#""private":false"#, #""privat":false"#, "not known"),
        (#""prefixes":[]"#, #""prefixes":["10.0.0.0/31"]"#, "no network's prefix"),
        (#""prefixes":[]"#, #""prefixes":["10.0.0.0"]"#, "no network's prefix"),
        (#""prefixes":[]"#, #""prefixes":[10]"#, "list of texts"),
        (#""prefixes":[]"#, #""prefixes":["10.0.0.0/24","10.1.0.0/24"]"#, "two prefixes of one family"),
        (#""mtu":1500"#, #""mtu":1500,"reachable_networks":["a"]"#, "no other network's name"),
        (#""mtu":1500"#, #""mtu":1500,"reachable_networks":["B"]"#, "no other network's name"),
        (#""mtu":1500"#, #""mtu":1500,"name_servers":["ns"]"#, "list of addresses"),
        (#""mtu":1500"#, #""mtu":1500,"gateways":"10.0.0.1""#, "gateways of a network is not a list"),
        (#""mtu":1500"#, #""mtu":1500,"gateways":["gw"]"#, "list of addresses"),
    ])
    func `a network that is none is refused`(part: String, wrong: String, words: String) throws {
        let text = network.replacingOccurrences(of: part, with: wrong)
        #expect(try #require(fault(#"{"change":{"networks":[\#(text)]}}"#)).contains(words))
    }

    @Test func `a network that is to reach too many is refused`() throws {
        let names = (1...65).map { "\"n\($0)\"" }.joined(separator: ",")
        let text = network.dropLast() + #","reachable_networks":[\#(names)]}"#
        #expect(try #require(fault(#"{"change":{"networks":[\#(text)]}}"#)).contains("more than 64"))
    }

    @Test(arguments: [
        (#""number":0"#, "from 1 to 60000"), (#""number":60001"#, "from 1 to 60000"),
        (#""number":"1""#, "number of a port"),
        (#""number":1,"network":5"#, "network of a port is not a text"),
        (#""number":1,"owner":"root""#, "owner of a port is not a number"), (#""number":1,"owner":-1"#, "owner"),
        (#""number":1,"owner":4294967295"#, "owner"), (#""number":1,"addresses":["10.0.0"]"#, "list of addresses"),
        (#""number":1,"addresses":["::1","::2","::3","::4","::5","::6","::7","::8","::9"]"#, "too many addresses"),
        (#""number":1,"names":["a.b"]"#, "no name for a machine"), (#""number":1,"tap":"t0""#, "not known"),
        (#""number":1,"line":[{}]"#, "name of an appliance"), (#""number":1,"line":{}"#, "not a list"),
        (#""number":1,"mirrors":[-1]"#, "not a list of ports' numbers"),
        (#""number":1,"mirrors":[1,2,3,4,5,6,7,8,9]"#, "at most 8 appliances look"),
        (
            #""number":1,"line":[{"name":"w","inside":1,"outside":2,"fails_open":true,"bypassed":false,"patience_ms":19}]"#,
            "patience_ms of an appliance in line is not a number from 20 to 60000"
        ),
        (#""number":1,"egress":[]"#, "not an object"),
        (#""number":1,"egress":{"rules":["localhost"]}"#, "nothing that a machine can be let reach"),
        (#""number":1,"egress":{"rules":[],"log":"egress.log"}"#, "no file's whole path"),
        (#""number":1,"impairment":5"#, "an impairment is a number"),
        (#""number":1,"impairment":{"both":{}}"#, "not known"),
        (#""number":1,"impairment":{"to_machine":{"delay_us":10000001}}"#, "a number from 0 to 10000000"),
        (
            #""number":1,"impairment":{"to_network":{"delay_us":5,"jitter_us":6}}"#,
            "jitter_us of a way of an impairment is not a number from 0 to 5"
        ),
        (
            #""number":1,"impairment":{"to_network":{"delay_us":0,"jitter_us":0,"loss_millipercent":100001}}"#,
            "loss_millipercent of a way of an impairment is not a number from 0 to 100000"
        ),
    ])
    func `a port that is none is refused`(fields: String, words: String) throws {
        let text = port.replacingOccurrences(of: #""number":1"#, with: fields)
        #expect(try #require(fault(#"{"change":{"ports":[\#(text)]}}"#)).contains(words))
    }

    @Test func `a port needs a station's address`() throws {
        for text in [#"{"number":1}"#, #"{"number":1,"mac":"01:00:00:00:00:01"}"#, #"{"number":1,"mac":6}"#] {
            #expect(try #require(fault(#"{"change":{"ports":[\#(text)]}}"#)).contains("mac of a port"))
        }
    }

    @Test(arguments: ["names", "line"]) func `a port with too much is refused`(field: String) throws {
        let appliance = #"{"name":"w","inside":1,"outside":2,"fails_open":true,"bypassed":false}"#
        let elements = [String](repeating: field == "names" ? #""a""# : appliance, count: field == "names" ? 17 : 9)
        let text = port.dropLast() + ",\"\(field)\":[\(elements.joined(separator: ","))]}"
        #expect(
            try #require(fault(#"{"change":{"ports":[\#(text)]}}"#)).contains(
                field == "names" ? "too many" : "at most 8"))
    }

    @Test(arguments: [
        (#""inside":1"#, #""inside":0"#), (#""outside":2"#, #""outside":60001"#), (#""name":"w""#, #""name":"-""#),
        (#""fails_open":true"#, #""fails_open":1"#), (#""bypassed":false"#, #""by":false"#),
        (#""bypassed":false"#, #""bypassed":false,"shadow":[7]"#),
        (#""bypassed":false"#, #""bypassed":false,"shadow":[0,7]"#),
        (#""bypassed":false"#, #""bypassed":false,"routing":true"#),
        (#""bypassed":false"#, #""bypassed":false,"routing":["02:00:00:00:00:01","02:00:00:00:00:02"]"#),
        (#""bypassed":false"#, #""bypassed":false,"routing":{}"#),
        (#""bypassed":false"#, #""bypassed":false,"routing":{"inside":"02:00:00:00:00:01"}"#),
        (
            #""bypassed":false"#,
            #""bypassed":false,"routing":{"inside":"02:00:00:00:00:01","outside":"ff:ff:ff:ff:ff:ff"}"#
        ),
        (
            #""bypassed":false"#,
            #""bypassed":false,"routing":{"inside":"00:00:00:00:00:00","outside":"02:00:00:00:00:02"}"#
        ),
        (
            #""bypassed":false"#,
            #""bypassed":false,"routing":{"inside":"02:00:00:00:00:01","outside":"02:00:00:00:00:02","hop":""}"#
        ),
    ])
    func `an appliance that is none is refused`(part: String, wrong: String) {
        let appliance = #"{"name":"w","inside":1,"outside":2,"fails_open":true,"bypassed":false}"#
        let good = port.dropLast() + #","line":[\#(appliance)]}"#
        #expect(fault(#"{"change":{"ports":[\#(good)]}}"#) == nil)
        let bad = good.replacingOccurrences(of: part, with: wrong)
        #expect(fault(#"{"change":{"ports":[\#(bad)]}}"#) != nil)
    }

    @Test(
        arguments: [
            ("", "", nil), (#""tcp""#, #""sctp""#, "neither tcp nor udp"), (#""tcp""#, "6", "transport"),
            ("8080", "0", "from 1 to 65535"), ("8080", "65536", "from 1 to 65535"),
            ("8080", "65535", "beyond the last"),
            (":80}", ":65535}", "beyond the last"), (":2", ":0", "from 1 to 1024"), (":2", ":1025", "from 1 to 1024"),
            (#""count""#, #""address":"fe80::1","count""#, "a link alone"),
            (#""count""#, #""address":"ff02::1","count""#, "a group"),
            (#""count""#, #""address":"10.0","count""#, "is none"),
            (#""count""#, #""address":"::ffff:7f00:1","count""#, "write it as one"),
            (#""count""#, #""address":"::1","count""#, nil), (#""count""#, #""address":"::","count""#, nil),
            (#""count""#, #""address":"10.0.0.1","count""#, nil), (#""count""#, #""to":1,"count""#, "not known"),
        ] as [(String, String, String?)])
    func `a published port that is none is refused`(part: String, wrong: String, words: String?) throws {
        let good = #"{"transport":"tcp","port":8080,"count":2,"machine_port":80}"#
        let text = part.isEmpty ? good : good.replacingOccurrences(of: part, with: wrong)
        let told = fault(#"{"change":{"ports":[\#(port.dropLast() + #","published":[\#(text)]}"#)]}}"#)
        guard let words else { return #expect(told == nil) }
        #expect(try #require(told).contains(words))
    }

    @Test func `what the fuzzers found is asked again without a trap`() throws {
        let folder = URL(filePath: #filePath).appending(path: "../../../../Fuzz/Corpus/fabric").standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files { fuzzFabric(Array(try Data(contentsOf: file))) }
    }
}
