import Node
import Primitives

/// What leases rest upon is broken on purpose: two owners at once. It costs a message twice, and nothing else
/// (`protocol.md`, 'Process death' and 'Names').
extension Simulation {
    /// A device resets the owner's connections and refuses in its name, in mid-dialogue with an upstream: the others own its
    /// journal while it lives and holds its lease.
    package static func forgedDeath(after time: Duration) -> Simulation {
        let simulation = threeNodes {
            $0.faults = [.forgedDeath]
            $0.clusterFaultEvery = .hours(1)
            $0.wire = .milliseconds(200)...(.milliseconds(300))
        }
        // An answer that comes late: the others do not wait for it, since they hold its owner for dead.
        simulation.dotDelay = .seconds(3)
        simulation.send(to: ["r@example.net"])
        simulation.run(for: time)
        simulation.forgeDeath(of: simulation.machines[0], share: 1)
        simulation.run(for: .seconds(30))
        simulation.settle()
        return simulation
    }

    /// The owner's clock runs at less than half the speed of the others', and it is cut off from them in mid-dialogue: by
    /// theirs its lease is long over, by its own it holds.
    package static func slowClock(cutOffAfter time: Duration) -> Simulation {
        let simulation = threeNodes {
            $0.clocksBeyondBound = true
            $0.clockRates = [0.5, 1.4, 1.5]
            $0.wire = .milliseconds(200)...(.milliseconds(300))
        }
        simulation.send(to: ["r@example.net"])
        simulation.run(for: time)
        simulation.cutOff([0])
        simulation.run(for: .seconds(10))
        simulation.cutOff([])
        simulation.run(for: .seconds(30))
        simulation.settle()
        return simulation
    }
}
