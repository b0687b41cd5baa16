public import WireFormats

/// One operation of the API: data that router, contract tests and documentation go by.
public struct Operation: Sendable {
    /// What stands behind the first part of the path.
    public enum Place: Equatable, Sendable {
        /// Whatever: it is not looked at.
        case whole
        /// The name of a resource, which the body's field of that name repeats.
        case resource(identifier: String)
        /// A word.
        case part(String)
    }

    /// When the operation may be asked for.
    public enum Time: Equatable, Sendable { case always, beforeStart, afterStart }

    /// Who does it.
    enum Handler: Sendable {
        case describeInstance, version, getMachine, getConfiguration, getBalloon, getBalloonStatistics, getMetadata
        case act, setBootSource, setMachine, updateMachine, setDrive, updateDrive, setInterface, updateInterface
        case setVsock, setBalloon, updateBalloon, updateBalloonStatistics, setEntropy, setProcessors
        case setLogger, setMetrics, setMetadata, patchMetadata, configureMetadata
        case setPersistentMemory, updatePersistentMemory
        case getHints, startHints, stopHints
        case getMemory, setMemory, updateMemory
        case setState, createSnapshot, createLiveSnapshot, loadSnapshot
        case saveWorkingSet, getCounters
    }

    public let method: HTTPRequest.Method
    /// The path's first part.
    public let name: String
    public let place: Place
    public let shape: JSONShape?
    public let time: Time
    let handler: Handler
    /// The group's name in the metrics, where requests and failures are counted.
    let metric: String?

    /// All of them.
    public static let all: [Operation] = [
        row(.get, "", .whole, nil, .describeInstance, .always, "instance_info"),
        row(.get, "version", .whole, nil, .version, .always, "vmm_version"),
        row(.get, "machine-config", .whole, nil, .getMachine, .always, "machine_cfg"),
        row(.get, "balloon", .whole, nil, .getBalloon, .always, nil),
        row(.get, "balloon", .part("hinting/status"), nil, .getHints, .afterStart, nil),
        row(.get, "balloon", .part("statistics"), nil, .getBalloonStatistics, .afterStart, nil),
        row(.get, "hotplug", .part("memory"), nil, .getMemory, .always, nil),
        row(.get, "mmds", .whole, nil, .getMetadata, .always, "mmds"),
        row(.get, "vm", .part("config"), nil, .getConfiguration, .always, nil),
        row(.get, "swiftlet", .part("counters"), nil, .getCounters, .afterStart, nil),
        row(.put, "actions", .whole, Shapes.action, .act, .always, "actions"),
        row(.put, "balloon", .whole, Shapes.balloon, .setBalloon, .beforeStart, nil),
        row(.put, "boot-source", .whole, Shapes.bootSource, .setBootSource, .beforeStart, "boot_source"),
        row(.put, "cpu-config", .whole, Shapes.processors, .setProcessors, .beforeStart, "cpu_cfg"),
        row(.put, "drives", .resource(identifier: "drive_id"), Shapes.drive, .setDrive, .beforeStart, "drive"),
        row(.put, "entropy", .whole, Shapes.entropy, .setEntropy, .beforeStart, nil),
        row(.put, "hotplug", .part("memory"), Shapes.memory, .setMemory, .beforeStart, "hotplug_memory"),
        row(.put, "logger", .whole, Shapes.logger, .setLogger, .beforeStart, "logger"),
        row(.put, "machine-config", .whole, Shapes.machine, .setMachine, .beforeStart, "machine_cfg"),
        row(.put, "metrics", .whole, Shapes.metrics, .setMetrics, .beforeStart, "metrics"),
        row(.put, "mmds", .whole, nil, .setMetadata, .always, "mmds"),
        row(.put, "mmds", .part("config"), Shapes.metadata, .configureMetadata, .beforeStart, "mmds"),
        row(
            .put, "network-interfaces", .resource(identifier: "iface_id"), Shapes.interface, .setInterface,
            .beforeStart, "network"),
        row(
            .put, "pmem", .resource(identifier: "id"), Shapes.persistentMemory, .setPersistentMemory, .beforeStart,
            "pmem"),
        row(.put, "snapshot", .part("create"), Shapes.snapshotCreate, .createSnapshot, .afterStart, nil),
        row(.put, "snapshot", .part("load"), Shapes.snapshotLoad, .loadSnapshot, .beforeStart, nil),
        row(.put, "swiftlet", .part("checked-load"), Shapes.checkedLoad, .loadSnapshot, .beforeStart, nil),
        row(.put, "swiftlet", .part("huge-load"), Shapes.hugeLoad, .loadSnapshot, .beforeStart, nil),
        row(.put, "swiftlet", .part("live-snapshot"), Shapes.snapshotCreate, .createLiveSnapshot, .afterStart, nil),
        row(.put, "swiftlet", .part("working-set"), Shapes.workingSet, .saveWorkingSet, .afterStart, nil),
        row(.put, "vsock", .whole, Shapes.vsock, .setVsock, .beforeStart, "vsock"),
        row(.patch, "balloon", .whole, Shapes.balloonUpdate, .updateBalloon, .afterStart, nil),
        row(.patch, "balloon", .part("hinting/start"), Shapes.hinting, .startHints, .afterStart, nil),
        row(.patch, "balloon", .part("hinting/stop"), nil, .stopHints, .afterStart, nil),
        row(
            .patch, "balloon", .part("statistics"), Shapes.balloonStatistics, .updateBalloonStatistics, .afterStart, nil
        ),
        row(
            .patch, "drives", .resource(identifier: "drive_id"), Shapes.driveUpdate, .updateDrive, .afterStart, "drive"),
        row(.patch, "hotplug", .part("memory"), Shapes.memoryUpdate, .updateMemory, .afterStart, "hotplug_memory"),
        row(.patch, "machine-config", .whole, Shapes.machineUpdate, .updateMachine, .beforeStart, "machine_cfg"),
        row(.patch, "mmds", .whole, nil, .patchMetadata, .always, "mmds"),
        row(.patch, "mmds", .part("config"), Shapes.metadata, .configureMetadata, .beforeStart, "mmds"),
        row(
            .patch, "network-interfaces", .resource(identifier: "iface_id"), Shapes.interfaceUpdate, .updateInterface,
            .afterStart, "network"),
        row(
            .patch, "pmem", .resource(identifier: "id"), Shapes.persistentMemoryUpdate, .updatePersistentMemory,
            .afterStart, "pmem"),
        row(.patch, "vm", .whole, Shapes.machineState, .setState, .afterStart, nil),
    ]

    private static func row(
        _ method: HTTPRequest.Method, _ name: String, _ place: Place, _ shape: JSONShape?, _ handler: Handler,
        _ time: Time, _ metric: String?
    ) -> Operation {
        Operation(
            method: method, name: name, place: place, shape: shape, time: time, handler: handler, metric: metric)
    }
}

extension Operation {
    /// The path of the operation; a resource's name stands for itself in braces.
    public var path: String {
        switch place {
        case .whole: "/" + name
        case .resource(let identifier): "/" + name + "/{" + identifier + "}"
        case .part(let part): "/" + name + "/" + part
        }
    }

    /// Whether a request may come without a body, though it changes something.
    var isBodyOptional: Bool { handler == .startHints || handler == .stopHints }

    /// What a path leads to.
    enum Route {
        case operation(Operation, resource: String?)
        case fault(String)
    }

    static func route(_ method: HTTPRequest.Method, _ path: String) -> Route {
        let parts = path.utf8.split(separator: 0x2f).map { String(decoding: $0, as: UTF8.self) }
        let name = parts.first ?? ""
        let second = parts.count > 1 ? parts[1] : nil
        let both = parts.count > 2 ? parts[1] + "/" + parts[2] : nil
        var hasParts = false
        var whole: Operation?
        for operation in all where operation.method == method && operation.name == name {
            switch operation.place {
            case .resource:
                guard let second else { return .fault("The ID cannot be empty.") }
                guard isIdentifier(second) else {
                    return .fault("API Resource IDs can only contain alphanumeric characters and underscores.")
                }
                return .operation(operation, resource: second)
            case .part(let part):
                hasParts = true
                if part == second || part == both { return .operation(operation, resource: nil) }
            case .whole: whole = operation
            }
        }
        if name == "snapshot", method == .put {
            guard second != nil else { return .fault("Missing snapshot operation type.") }
            return .fault("Invalid request method and/or path: \(method.name) \(path).")
        }
        guard let whole else { return .fault("Invalid request method and/or path: \(method.name) \(name).") }
        if hasParts, method != .get || name == "balloon", let second {
            return .fault("Unrecognized \(method.name) request path `\(second)`.")
        }
        return .operation(whole, resource: nil)
    }

    /// Letters, digits and underscores of any script in the original; of ASCII here.
    static func isIdentifier(_ text: String) -> Bool {
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f: continue
            default: return false
            }
        }
        return !text.isEmpty
    }
}
