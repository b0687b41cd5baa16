import KVMHost
public import Snapshots

extension MachineShell {
    /// Whether processors that were saved could go on here; no machine is made of them.
    public func judge(_ state: MachineState) throws(MachineError) {
        let speed: UInt32
        do throws(KVMError) { speed = try makeProcessor(0).counterKilohertz } catch { throw .kvm(error) }
        do throws(SnapshotError) {
            for processor in state.processors {
                try ProcessorCompatibility.judge(processor.identification, supported)
                try ProcessorCompatibility.judge(counterKilohertz: processor.counterKilohertz, speed)
            }
        } catch { throw .snapshot(error) }
    }
}
