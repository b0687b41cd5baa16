import Identity
import LinuxCalls
public import MetadataService
import WireFormats

/// What the API does: one request in, one answer out. Knows nothing of sockets.
///
/// Belongs to one thread.
public final class APIService {
    /// The version whose requests are understood.
    public static let version = Identity.firecrackerVersion

    /// How the machine is, in the API's words.
    enum State: String { case notStarted = "Not started", running = "Running", paused = "Paused" }

    public let identifier: String
    public let log: MonitorLog
    public let metrics: MonitorMetrics
    public let metadata: MetadataStore
    let control: any MachineControl
    var state = State.notStarted
    var kept = KeptConfiguration()

    public init(
        identifier: String, control: any MachineControl, log: MonitorLog, metrics: MonitorMetrics,
        metadata: MetadataStore
    ) {
        self.identifier = identifier
        self.control = control
        self.log = log
        self.metrics = metrics
        self.metadata = metadata
    }

    /// Why a request is not carried out.
    struct Fault: Error {
        let message: String
        var status = 400
        @inline(never)
        init(_ message: String, status: Int = 400) {
            self.message = message
            self.status = status
        }
    }

    /// Carries a request out.
    public func answer(_ request: HTTPRequest) -> HTTPResponse {
        note(request)
        let response = route(request)
        if response.status >= 400 {
            log.write(
                .error,
                "Received Error. Status code: \(response.status) \(response.status == 413 ? "Payload Too Large" : "Bad Request"). Message: \(String(decoding: response.body, as: UTF8.self))"
            )
        } else {
            log.write(
                .info,
                "The request was executed successfully. Status code: \(response.status == 204 ? "204 No Content" : "200 OK")."
            )
        }
        return response
    }

    private func note(_ request: HTTPRequest) {
        var text = "The API server received a \(request.method.logName) request on \"\(request.path)\""
        // What a guest is told may be secret.
        if !request.body.isEmpty, !request.path.utf8.starts(with: "/mmds".utf8) {
            var body: [UInt8] = []
            JSONValue.write(String(decoding: request.body, as: UTF8.self), to: &body)
            text += " with body " + String(decoding: body, as: UTF8.self)
        }
        log.write(.info, text + ".")
    }

    private func route(_ request: HTTPRequest) -> HTTPResponse {
        if request.method == .get {
            if !request.body.isEmpty { return .fault("GET request cannot have a body.") }
        } else if request.body.isEmpty {
            if case .operation(let operation, _) = Operation.route(request.method, request.path),
                operation.isBodyOptional
            {
                return perform(operation, nil, [])
            }
            return .fault("Empty \(request.method.name) request.")
        }
        switch Operation.route(request.method, request.path) {
        case .fault(let message): return .fault(message)
        case .operation(let operation, let resource): return perform(operation, resource, request.body)
        }
    }

    private func perform(_ operation: Operation, _ resource: String?, _ bytes: [UInt8]) -> HTTPResponse {
        metrics.count(operation, failed: false)
        var isDeprecated = false
        do throws(Fault) {
            let body = try read(bytes, operation, resource)
            isDeprecated = Self.isDeprecated(operation, body)
            try checkTime(operation)
            let begin = Clock.monotonic.nanoseconds()
            var response = try handle(operation, resource ?? "", body)
            if let name = Self.latency(operation, body) {
                let microseconds = (Clock.monotonic.nanoseconds() - begin) / 1000
                metrics.note(name, microseconds: microseconds)
                metrics.note("vmm_" + name, microseconds: microseconds)
            }
            response.isDeprecated = isDeprecated
            if isDeprecated { metrics.countDeprecated() }
            return response
        } catch {
            metrics.count(operation, failed: true)
            var response = HTTPResponse.fault(error.message, status: error.status)
            response.isDeprecated = isDeprecated
            return response
        }
    }

    /// Carries out what stands in a configuration file, as if it had come as a request.
    /// - Parameter resource: the name of a drive or interface.
    func apply(_ operation: Operation, resource: String?, _ value: JSONValue) throws(Fault) {
        var bytes: [UInt8] = []
        value.write(to: &bytes)
        let body = try read(bytes, operation, resource)
        _ = try handle(operation, resource ?? "", body)
    }

    private func read(_ bytes: [UInt8], _ operation: Operation, _ resource: String?) throws(Fault) -> JSONValue {
        if operation.method == .get || bytes.isEmpty { return .null }
        let body: JSONValue
        do throws(JSONShapeError) {
            if let shape = operation.shape {
                body = try JSONParser.parse(bytes, as: shape)
            } else {
                body = try JSONParser.parseFree(bytes)
            }
        } catch {
            throw Fault("An error occurred when deserializing the json body of a request: \(error).")
        }
        if case .resource(let name) = operation.place, let resource, let given = body[name]?.text, given != resource {
            throw Fault(
                name == "iface_id"
                    ? "The id from the path [\(resource)] does not match the id from the body [\(given)]!"
                    : "The id from the path does not match the id from the body!")
        }
        return body
    }

    private static func isDeprecated(_ operation: Operation, _ body: JSONValue) -> Bool {
        switch operation.handler {
        case .setMachine, .updateMachine: body["cpu_template"] != nil
        case .setVsock: body["vsock_id"] != nil
        case .configureMetadata: body.text("version") != "V2" && operation.method == .put
        case .loadSnapshot: body["mem_file_path"] != nil || body["enable_diff_snapshots"] != nil
        default: false
        }
    }

    /// Under what name the metrics say how long a request took.
    private static func latency(_ operation: Operation, _ body: JSONValue) -> String? {
        switch operation.handler {
        case .createSnapshot:
            body.text("snapshot_type") == "Diff" ? "diff_create_snapshot" : "full_create_snapshot"
        case .loadSnapshot: "load_snapshot"
        case .setState: body.text("state") == "Paused" ? "pause_vm" : "resume_vm"
        default: nil
        }
    }

    private func checkTime(_ operation: Operation) throws(Fault) {
        switch (operation.time, state) {
        case (.always, _), (.beforeStart, .notStarted), (.afterStart, .running), (.afterStart, .paused): return
        case (.beforeStart, _): throw Self.tooLate
        case (.afterStart, _): throw Self.tooEarly
        }
    }

    static let tooEarly = Fault("The requested operation is not supported before starting the microVM.")
    static let tooLate = Fault("The requested operation is not supported after starting the microVM.")

    private func handle(
        _ operation: Operation, _ resource: String, _ body: JSONValue
    ) throws(Fault) -> HTTPResponse {
        switch operation.handler {
        case .describeInstance: return describeInstance()
        case .version: return .json(.object([JSONMember("firecracker_version", .string(Self.version))]))
        case .getMachine: return .json(kept.machine)
        case .getConfiguration: return .json(kept.document)
        case .getBalloon:
            guard let balloon = kept.balloon else { throw Fault("Balloon config error: No balloon device found.") }
            return .json(balloon)
        case .getBalloonStatistics: return .json(try balloonStatistics())
        case .getMetadata: return HTTPResponse(status: 200, body: metadata.written)
        case .getCounters: return .json(counters())
        case .act: try act(body)
        case .setBootSource: try setBootSource(body)
        case .setMachine: try setMachine(body.completed(Shapes.machine))
        case .updateMachine: try updateMachine(body)
        case .setDrive: try setDrive(resource, body)
        case .updateDrive: try updateDrive(resource, body)
        case .setInterface: try setInterface(resource, body)
        case .updateInterface: try updateInterface(resource, body)
        case .setVsock: try setVsock(body)
        case .setBalloon: try setBalloon(body)
        case .updateBalloon: try updateBalloon(body)
        case .updateBalloonStatistics: try updateBalloonStatistics(body)
        case .setEntropy: kept.entropy = Self.withEffectiveLimits(body.completed(Shapes.entropy), "rate_limiter")
        case .setProcessors: try setProcessors(body)
        case .setLogger: try setLogger(body)
        case .setMetrics: try setMetrics(body)
        case .setMetadata: try store(body)
        case .patchMetadata: try patch(body)
        case .configureMetadata: try configureMetadata(body)
        case .setPersistentMemory: try setPersistentMemory(resource, body)
        case .updatePersistentMemory: try updatePersistentMemory(resource, body)
        case .getHints: return .json(try describeHints())
        case .startHints: try startHints(body)
        case .stopHints: try stopHints()
        case .getMemory: return .json(try describeMemory())
        case .setMemory: try setMemory(body)
        case .updateMemory: try updateMemory(body)
        case .setState: try setState(body)
        case .createSnapshot: try createSnapshot(body)
        case .createLiveSnapshot: return try createLiveSnapshot(body)
        case .saveWorkingSet: try saveWorkingSet(body)
        case .loadSnapshot: try loadSnapshot(body)
        }
        return .noContent
    }

    private func describeInstance() -> HTTPResponse {
        .json(
            .object([
                JSONMember("id", .string(identifier)), JSONMember("state", .string(state.rawValue)),
                JSONMember("vmm_version", .string(Self.version)), JSONMember("app_name", .string("Firecracker")),
            ]))
    }
}
