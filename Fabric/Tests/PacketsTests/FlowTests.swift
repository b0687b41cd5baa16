import AgentProtocol
import FabricTestSupport
import Foundation
import Seeing
import Testing

@testable import Wiring

@Suite struct FlowTests {
    private static let corpus = URL(filePath: #filePath).appending(path: "../../../../Fuzz/Corpus/flows").standardized

    @Test func `a connection is a line with both ways, what went over them, and its age`() throws {
        let bytes = Array(try Data(contentsOf: Self.corpus.appending(path: "tcp")))
        let connection = try #require(try TrackedConnection.read(bytes).first)
        #expect(connection.question.destination == .init(address: IPAddress(v4: 198, 51, 100, 7), port: 443))
        let line = String(decoding: Flows.lines([connection], at: 1_700_000_003_000_000_000), as: UTF8.self)
        #expect(
            line == #"{"transport":6,"question":{"from":"10.190.1.5","to":"198.51.100.7","from_port":40112,"#
                + #""to_port":443,"frames":7,"bytes":1500},"answer":{"from":"198.51.100.7","to":"10.189.255.2","#
                + #""from_port":443,"to_port":40112,"frames":5,"bytes":90000},"has_answered":true,"state":3,"#
                + #""seconds_left":431999,"age_milliseconds":3000}"# + "\n")
    }

    @Test func `what the corpus has is read without a trap, and what is made from it`() throws {
        let files = try FileManager.default.contentsOfDirectory(at: Self.corpus, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files {
            let bytes = Array(try Data(contentsOf: file))
            fuzzFlows(bytes)
            for index in bytes.indices {
                fuzzFlows(Array(bytes[..<index]))
                for value in [0, 1, 3, 0x7f, 0xff] as [UInt8] {
                    var changed = bytes
                    changed[index] = value
                    fuzzFlows(changed)
                }
            }
        }
    }
}
