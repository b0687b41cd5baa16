import LinuxCalls
import MetadataService
import MonitorAPI

/// A connection's whole life: the bytes come in pieces, requests are found in them and carried out by a service whose
/// machine is not there. Whatever the bytes are, each request has an answer that is JSON or empty.
///
/// The first byte says how long the pieces are, and whether the machine has been started before.
public func fuzzAPI(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let control = RecordingControl()
    let log = MonitorLog(identifier: "fuzz")
    log.set(level: .off)
    let service = APIService(
        identifier: "fuzz", control: control, log: log, metrics: MonitorMetrics(log: log),
        metadata: MetadataStore(limitBytes: 4096))
    if first & 0x80 != 0 {
        for (path, body) in [
            ("/boot-source", #"{"kernel_image_path":"/k"}"#),
            ("/drives/a", #"{"drive_id":"a","is_root_device":true,"path_on_host":"/d"}"#),
            ("/network-interfaces/e", #"{"iface_id":"e","host_dev_name":"t"}"#),
            ("/balloon", #"{"amount_mib":1,"deflate_on_oom":true,"stats_polling_interval_s":1}"#),
            ("/actions", #"{"action_type":"InstanceStart"}"#),
        ] { _ = service.answer(HTTPRequest(.put, path, body: Array(body.utf8))) }
        precondition(control.started != nil, "the machine has started")
    }
    let parser = HTTPRequestParser(maximumBodyBytes: 8192)
    let pieceBytes = Int(first & 0x7f) + 1
    var rest = input.dropFirst()
    var bytes: [UInt8] = []
    while !rest.isEmpty {
        bytes += rest.prefix(pieceBytes)
        rest = rest.dropFirst(pieceBytes)
        finding: while true {
            switch parser.parse(bytes) {
            case .incomplete: break finding
            case .refused: return
            case .request(let request, let byteCount):
                precondition(byteCount > 0 && byteCount <= bytes.count, "a request has a length")
                bytes.removeFirst(byteCount)
                let response = service.answer(request)
                precondition(response.body.isEmpty == (response.status == 204), "an answer without content is 204")
            }
        }
    }
    // The same bytes as a file.
    let file = APIService(
        identifier: "fuzz", control: RecordingControl(), log: log, metrics: MonitorMetrics(log: log),
        metadata: MetadataStore(limitBytes: 4096))
    try? file.configure(Array(input.dropFirst()))
}
