import ArgumentParser
import Fleet
import GuestKernels
import HostFiles
import ImageStore

/// What a shell offers in place of a word, asked of this command itself, so that it works whatever it is called.
enum Completions {
    static var machines: CompletionKind {
        .custom { _, _, _ in Product.fleet.store.list().map(\.name) }
    }

    static var runningMachines: CompletionKind { .custom { _, _, _ in running } }

    static var images: CompletionKind {
        .custom { _, _, _ in ((try? ImageCommand.store.list()) ?? []).flatMap(\.names) }
    }

    static var settings: CompletionKind {
        .custom { _, _, _ in (try? SettingsCommand.store.names()) ?? [] }
    }

    /// What `reset` takes: machines that have settings, and settings.
    static var resettable: CompletionKind {
        .custom { _, _, _ in
            let machines = Product.fleet.store.list().filter { $0.specification.settingsName != nil }.map(\.name)
            return Set(machines + ((try? SettingsCommand.store.names()) ?? [])).sorted()
        }
    }

    static var kernels: CompletionKind {
        .custom { _, _, _ in Set(((try? KernelCommand.store.list()) ?? []).map(\.name)).sorted() }
    }

    /// Files here, and the machines in which others may be.
    static var places: CompletionKind {
        .custom { _, _, prefix in running.map { $0 + ":" } + files(prefix) }
    }

    static var volumeNames: CompletionKind { .custom { _, _, _ in VolumeCommand.store.list().map(\.name) } }

    static var volumes: CompletionKind { .custom { _, _, _ in VolumeCommand.store.list().map { $0.name + ":" } } }

    static var snapshots: CompletionKind { .custom { _, _, _ in SnapshotCommand.store.list().map(\.name) } }

    static var networkNames: CompletionKind { .custom { _, _, _ in NetworkCommand.store.list().map(\.name) } }

    static var tenants: CompletionKind {
        .custom { _, _, _ in Set(NetworkCommand.store.list().compactMap(\.tenant)).sorted() }
    }

    static var networks: CompletionKind {
        .custom { _, _, _ in ["none", "tap", "tap:", "wire"] + NetworkCommand.store.list().map(\.name) }
    }

    /// From where packets are sent.
    static var tracing: CompletionKind { .custom { _, _, _ in running + ["outside"] } }

    /// Where packets can be seen.
    static var captured: CompletionKind {
        .custom { _, _, _ in running + NetworkCommand.store.list().map(\.name) + ["between", "and"] }
    }

    /// Whom packets are sent to; the port is still to be said.
    static var traced: CompletionKind {
        .custom { _, _, _ in (running + NetworkCommand.store.list().map(\.name)).map { $0 + ":" } }
    }

    static var inWires: CompletionKind {
        .custom { _, _, _ in Product.fleet.wires().flatMap(\.members).map(\.entry.name) }
    }

    private static var running: [String] {
        Product.fleet.store.list().filter { !$0.state.isOver }.map(\.name)
    }

    /// What lies in the folder that a path names so far; hidden ones when they are asked for.
    static func files(_ prefix: String) -> [String] {
        let folder = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
        let isHiddenWanted = prefix.dropFirst(folder.count).hasPrefix(".")
        let names = (try? HostPath(folder.isEmpty ? "." : folder).folderNames()) ?? []
        return names.map { String(decoding: $0, as: UTF8.self) }.filter { isHiddenWanted || !$0.hasPrefix(".") }
            .map { folder + $0 }.filter { $0.hasPrefix(prefix) }.sorted()
    }
}
